"""Callers and what they may do: rights on models."""

from __future__ import annotations

import dataclasses
import enum
import fnmatch
import re
from collections.abc import Iterable

from serving.errors import UsageError

__all__ = ["ANONYMOUS", "EVERYTHING", "AccessList", "Caller", "Right", "Rule", "parse_right", "parse_rule"]


class Right(enum.StrEnum):
    """What a call does to a model."""

    PREDICT = "predict"
    """Predict, Classify, Regress, MultiInference."""
    METADATA = "metadata"
    """GetModelMetadata, GetModelStatus, reflection, the list of models."""
    ADMIN = "admin"
    """HandleReloadConfigRequest."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Rights on the models whose name fits a pattern.

    Args:
        models: names or patterns with `*`, `?` and `[...]`, upper and lower case apart.
        rights: what is allowed on them.

    Raises:
        UsageError: one of both is empty.
    """

    models: tuple[str, ...]
    rights: frozenset[Right]

    def __post_init__(self):
        if not self.models or not all(self.models):
            raise UsageError(f"`models` must hold at least one name or pattern, none empty. Received: {self.models}.")
        if not self.rights:
            raise UsageError("`rights` must hold at least one of predict, metadata, admin. Received: none.")


class AccessList:
    """The rules of one caller; a right that no rule gives is refused.

    Args:
        rules: in any order.

    Example:
        >>> rule = Rule(models=("digits*",), rights=frozenset({Right.PREDICT}))
        >>> AccessList([rule]).allows(Right.PREDICT, "digits-small")
        True
        >>> AccessList([rule]).allows(Right.ADMIN, "digits-small")
        False
    """

    def __init__(self, rules: Iterable[Rule]):
        self.rules = tuple(rules)
        patterns: dict[str, list[str]] = {right: [] for right in Right}
        for rule in self.rules:
            for right in rule.rights:
                patterns[right].extend(rule.models)
        self._matches = {
            right: re.compile("|".join(map(fnmatch.translate, models))).match
            for right, models in patterns.items()
            if models
        }

    def allows(self, right: str, model: str) -> bool:
        """Whether `right` is given on `model`.

        A call that names no model concerns the server: `admin` then needs a rule for every model (`*`); the other
        two need any rule, for such a request is refused later or its answer holds only models the caller may see.
        """
        match = self._matches.get(right)
        if match is None:
            return False
        return match(model) is not None or (not model and right != Right.ADMIN)


EVERYTHING = AccessList([Rule(models=("*",), rights=frozenset(Right))])


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks.

    Args:
        name: as the tokens file or the client's certificate has it; "anonymous" on an open server.
        access: what this caller may do.
        by_peer: limits count this caller by network address, for its name says nothing.
    """

    name: str
    access: AccessList
    by_peer: bool = False

    def may(self, right: str, model: str) -> bool:
        """Whether this caller has `right` on `model`; for lists of models, which show only what may be seen."""
        return self.access.allows(right, model)


ANONYMOUS = Caller(name="anonymous", access=EVERYTHING, by_peer=True)


def parse_rule(text: str) -> Rule:
    """A rule as the command line has it.

    Args:
        text: `MODEL:right,right`; MODEL may be a pattern.

    Raises:
        UsageError: another form, or a right that does not exist.

    Example:
        >>> sorted(parse_rule("digits*:predict,metadata").rights)
        [<Right.METADATA: 'metadata'>, <Right.PREDICT: 'predict'>]
    """
    model, colon, rights = text.rpartition(":")
    if not colon or not model:
        raise UsageError(f"A rule must be MODEL:right,right, as in 'digits*:predict,metadata'. Received: {text!r}.")
    return Rule(models=(model,), rights=frozenset(parse_right(right.strip()) for right in rights.split(",")))


def parse_right(text: str) -> Right:
    """The right of a name.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return Right(text)
    except ValueError:
        raise UsageError(f"A right must be one of {', '.join(Right)}. Received: {text!r}.") from None
