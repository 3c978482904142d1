"""Synthetic Korean economic news with questions, for pre-training and for the sample data."""

from .articles import Article, Question, Split
from .generator import MAX_SENTENCES, NewsGenerator
from .names import reserved_names
from .patterns import all_patterns, held_out_patterns, pattern_regex

__all__ = [
    "MAX_SENTENCES",
    "Article",
    "NewsGenerator",
    "Question",
    "Split",
    "all_patterns",
    "held_out_patterns",
    "pattern_regex",
    "reserved_names",
]
