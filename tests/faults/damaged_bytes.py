"""Damage to any file, whatever its format: bytes flipped, lost, added, moved, or in another encoding."""

from collections.abc import Callable
from random import Random

Damage = Callable[[bytes, Random], bytes]


def _place(data: bytes, choose: Random) -> int:
    return choose.randrange(len(data))


def flip_bits(data: bytes, choose: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice((1, 1, 3, 20))):
        changed[_place(data, choose)] ^= 1 << choose.randrange(8)
    return bytes(changed)


def random_bytes(data: bytes, choose: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice((1, 4, 50))):
        changed[_place(data, choose)] = choose.randrange(256)
    return bytes(changed)


def truncate(data: bytes, choose: Random) -> bytes:
    return data[: _place(data, choose)]


def lose_the_beginning(data: bytes, choose: Random) -> bytes:
    return data[1 + _place(data, choose) :]


def lose_a_piece(data: bytes, choose: Random) -> bytes:
    first = _place(data, choose)
    return data[:first] + data[first + choose.choice((1, 2, 64, 512)) :]


def repeat_a_piece(data: bytes, choose: Random) -> bytes:
    first = _place(data, choose)
    piece = data[first : first + choose.choice((1, 64, 1024))]
    return data[:first] + piece + data[first:]


def swap_pieces(data: bytes, choose: Random) -> bytes:
    first, second = sorted((_place(data, choose), _place(data, choose)))
    return data[second:] + data[first:second] + data[:first]


def insert(*pieces: bytes) -> Damage:
    def damage(data: bytes, choose: Random) -> bytes:
        first = _place(data, choose)
        return data[:first] + choose.choice(pieces) + data[first:]

    return damage


def zero_a_block(data: bytes, choose: Random) -> bytes:
    first = _place(data, choose)
    size = min(choose.choice((16, 512, 4096)), len(data) - first)
    return data[:first] + bytes(size) + data[first + size :]


def append_noise(data: bytes, choose: Random) -> bytes:
    return data + choose.randbytes(choose.choice((1, 100, 5000)))


def noise(data: bytes, choose: Random) -> bytes:
    return choose.randbytes(len(data))


def empty(data: bytes, choose: Random) -> bytes:
    return choose.choice((b"", b"\n", b" \r\n\t", b"\xef\xbb\xbf"))


ANY_FILE: dict[str, Damage] = {
    "bits flipped": flip_bits,
    "bytes at random": random_bytes,
    "truncated": truncate,
    "beginning lost": lose_the_beginning,
    "piece lost": lose_a_piece,
    "piece repeated": repeat_a_piece,
    "pieces swapped": swap_pieces,
    "NUL bytes": insert(b"\x00", b"\x00" * 100),
    "block of zeros": zero_a_block,
    "noise at the end": append_noise,
    "noise": noise,
    "empty": empty,
}


def recode(*encodings: str) -> Damage:
    return lambda data, choose: data.decode().encode(choose.choice(encodings), errors="replace")


def mixed_encodings(data: bytes, choose: Random) -> bytes:
    lines = data.split(b"\n")
    first = choose.randrange(len(lines))
    other = choose.choice(("cp949", "utf-16-le", "euc-jp", "johab"))
    return b"\n".join(
        line.decode().encode(other, errors="replace") if number >= first else line for number, line in enumerate(lines)
    )


def line_ends(*ends: bytes) -> Damage:
    return lambda data, choose: b"".join(line + choose.choice(ends) for line in data.split(b"\n") if line)


TEXT_FILE: dict[str, Damage] = {
    "byte-order mark inside": insert(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"),
    "byte-order mark before": lambda data, choose: b"\xef\xbb\xbf" * choose.choice((1, 2)) + data,
    "other encoding": recode("utf-16", "utf-16-be", "utf-32", "utf-7", "euc-jp", "latin-1", "johab"),
    "cp949": recode("cp949"),
    "mixed encodings": mixed_encodings,
    "mixed line ends": line_ends(b"\n", b"\r\n", b"\r"),
    "line ends of old": line_ends(b"\r"),
    "control characters": insert(b"\x1a", b"\x1b[31m", b"\x0c", b"\x7f", b"\x85"),
    "other line breaks": insert("\u2028".encode(), "\u2029".encode(), "\x85".encode()),
    "unseen characters": insert("\u200b".encode(), "\u202e".encode(), "\u3164".encode()),
    "surrogates": insert(b"\xed\xa0\x80", b"\\ud800", b"\xf4\x90\x80\x80"),
    "quote": insert(b'"', b'""', b"'"),
    "delimiter": insert(b",", b"\t", b"\n", b"}", b"["),
}
