"""What a symbol is called: as the map says, as the store has it, or as the file writes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Naming:
    """`renamed`: the file's word -> ours. `only`: the one symbol that is wanted, which nameless rows are taken to be.

    `stored`: symbols that market data is stored of; ATOMUSDT and ATOM-USDT are its ATOM/USDT, where just one fits.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    only: str | None = None
    stored: Iterable[str] = ()
    matched: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    _known: dict[str, str] = field(default_factory=dict)

    def of(self, word: str | None) -> str | None:
        """Our name for a symbol; None where neither the file nor `only` says one."""
        if word is None:
            return self.only
        name = self._known.get(word)
        if name is None:
            name = self._known[word] = self._named(word)
        return name

    def unwanted(self, symbol: str | None) -> bool:
        """Whether rows of this symbol are left out; counts them."""
        if self.only is None or symbol == self.only:
            return False
        self.others[str(symbol)] += 1
        return True

    def _named(self, word: str) -> str:
        if word in self.renamed:
            return self.renamed[word]
        wanted = {*self.stored, *([self.only] if self.only else [])}
        if word in wanted:
            return word
        alike = sorted(symbol for symbol in wanted if _letters(symbol) == _letters(word))
        if len(alike) != 1:
            return word
        self.matched[word] = alike[0]
        return alike[0]


def _letters(symbol: str) -> str:
    """Letters and digits alone: ATOM/USDT and atom-usdt are ATOMUSDT; ATOM/USDT:USDT keeps its second part."""
    return re.sub(r"[^A-Z0-9:]", "", symbol.upper())
