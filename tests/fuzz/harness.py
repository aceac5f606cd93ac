"""What the fuzz targets share: instrumentation of what matters only, seeds, words, and mutation that keeps a structure.

Instrumenting everything that is loaded would take minutes and tell nothing: a target names the packages that it is
about. A target whose octets are CBOR or JSON changes values as well as octets, so that what lies behind the syntax is
reached too.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from types import FunctionType
from typing import Any, Final, TypeAlias

DEFAULTS: Final = (
    "-timeout=10",  # seconds for one input
    "-rss_limit_mb=1024",
    f"-artifact_prefix={Path(tempfile.gettempdir(), 'rialto-')}",
)
"""What libFuzzer is told unless the command line says otherwise: nothing may take long or much, or fill this folder."""

Mutator: TypeAlias = Callable[[bytes, int, int], bytes]


def fuzz(
    one_input: Callable[[bytes], None],
    *packages: str,
    seeds: Iterable[bytes] = (),
    words: Iterable[bytes] = (),
    mutator: Mutator | None = None,
) -> None:
    """Fuzz until told to stop, watching the code of ``packages``.

    ``seeds`` are where it begins, ``words`` what it may put in, ``mutator`` what it changes an input with.
    """
    import atheris

    for function in _functions(packages):
        atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as folder:
        corpus, dictionary = Path(folder, "seeds"), Path(folder, "words")
        corpus.mkdir()
        for number, seed in enumerate(seeds):
            (corpus / str(number)).write_bytes(seed)
        dictionary.write_text("# what may be put in\n" + "".join(f'"{_spelt(word)}"\n' for word in words))
        arguments = [sys.argv[0], *DEFAULTS, *sys.argv[1:], f"-dict={dictionary}", str(corpus)]
        if mutator:
            atheris.Setup(arguments, one_input, custom_mutator=mutator)
        else:
            atheris.Setup(arguments, one_input)
        atheris.Fuzz()


def _functions(packages: tuple[str, ...]) -> list[FunctionType]:
    """Every function, method and closure of these packages that is loaded."""
    return [
        thing
        for thing in gc.get_objects()
        if isinstance(thing, FunctionType) and f"{thing.__module__}.".startswith(tuple(f"{p}." for p in packages))
    ]


def _spelt(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


# --- mutation that keeps a structure ----------------------------------------------------------------------------------

INTERESTING: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    23,
    24,
    255,
    256,
    65_535,
    65_536,
    1 << 32,
    (1 << 63),
    1.5,
    -0.0,
    "",
    b"",
    [],
    {},
)


def structured(read: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> Mutator:
    """Return a mutator that mostly changes one value of what ``read`` makes of an input, and else octets.

    Whatever ``read`` or ``write`` raise means that there is no such value.
    """
    import atheris

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.75:
            try:
                changed = write(_changed(read(data), random, atheris.Mutate))
            except Exception:
                changed = data
            if changed != data and len(changed) <= max_size:
                return changed
        return bytes(atheris.Mutate(data, max_size))

    return mutate


def _changed(value: Any, random: Random, octets: Callable[[bytes, int], bytes]) -> Any:
    """Return ``value`` with one of the values inside it, or itself, exchanged."""
    places = list(_places(value))
    place = random.choice(places)
    other = random.choice(places)
    old = _at(value, place)
    match random.randrange(6):
        case 0:
            new = random.choice(INTERESTING)
        case 1:
            new = _at(value, other)
        case 2 if isinstance(old, list | dict):
            new = _fewer_or_more(old, random)
        case 3:
            new = [old, old]
        case _:
            new = _scalar(old, random, octets)
    return _with(value, place, new)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from _places(inner, (*place, key))


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


def _with(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    key, *rest = place
    copy = value.copy()
    copy[key] = _with(value[key], tuple(rest), new)
    return copy


def _fewer_or_more(old: Any, random: Random) -> Any:
    keys = list(old) if isinstance(old, dict) else list(range(len(old)))
    copy = old.copy()
    if not keys:
        return {"": 0} if isinstance(old, dict) else [0]
    key = random.choice(keys)
    if random.random() < 0.5:
        del copy[key]
    elif isinstance(copy, dict):
        copy[random.choice(("", "id", "title", 7, key))] = copy[random.choice(keys)]
    else:
        copy.insert(key, copy[random.choice(keys)])
    return copy


def _scalar(old: Any, random: Random, octets: Callable[[bytes, int], bytes]) -> Any:
    match old:
        case bool():
            return not old
        case int():
            return old + random.choice((-1, 1, -old - 1, 1 << random.randrange(64)))
        case float():
            return old * random.choice((-1, 0.5, 1e300))
        case bytes():
            return bytes(octets(old, len(old) + 32))
        case str():
            return bytes(octets(old.encode(errors="replace"), len(old) + 32)).decode(errors="replace")
        case _:
            return random.choice(INTERESTING)
