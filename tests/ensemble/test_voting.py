"""Majorities, ties and abstentions."""

import pytest

from kqa_lightning.ensemble.voting import VotePriority, count_votes, most_voted


def test_votes_count_normalised_answers_in_order_of_mention() -> None:
    assert count_votes(["‘25명’", "1710명", "25명.", "1710 명"]) == {
        "25명": [0, 2],
        "1710명": [1],
        "1710 명": [3],
    }


def test_abstentions_do_not_vote_unless_all_abstain() -> None:
    assert count_votes(["", "?!", "가"]) == {"가": [2]}
    assert count_votes(["", "?!"]) == {"": [0, 1]}


@pytest.mark.parametrize(
    ("votes", "leaders"),
    [
        ({"가": [0, 1], "나": [2]}, ["가"]),
        ({"가": [0], "나": [1], "다": [2]}, ["가", "나", "다"]),
        ({"가": [0], "나": [1, 2], "다": [3, 4]}, ["나", "다"]),
        ({"가": [0], "나": [1, 2], "다": [3], "라": [4]}, ["나"]),  # ahead with two of five
    ],
)
def test_most_voted(votes: dict[str, list[int]], leaders: list[str]) -> None:
    assert most_voted(votes) == leaders


@pytest.mark.parametrize(
    ("answers", "priority", "chosen"),
    [
        (["가", "나", "나"], 0, 1),  # a majority outvotes the priority
        (["가", "나", "다"], 0, 0),
        (["가", "나", "다"], 2, 2),
        (["가", "'나'", "나"], 2, 1),  # of those who agree, the first listed is written
        (["가", "나", "나", "가"], 1, 1),
        (["가", "나", "나", "'가'"], 3, 0),
        (["가", "나", "나", "다", "다"], 0, 1),  # the priority is not among those tied
        (["가", "나", "나", "다", "다"], 4, 3),
        (["", "가", "나"], 0, 1),  # nor is an abstention
        (["", "", "가"], 0, 2),
        (["", "?", "."], 2, 0),
        (["가", "나"], 1, 1),
    ],
)
def test_vote_priority(answers: list[str], priority: int, chosen: int) -> None:
    assert VotePriority(priority).choose(answers) == chosen
