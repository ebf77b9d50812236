"""Reading pickles without running anything in them: plain Python values and numpy arrays, nothing else.

A pickle is a program. Three things keep it harmless here. Its instructions are walked through first: only
those that build plain values may pass, and every length is checked against the file. The few names of numpy
it may ask for lead to the recorders below, not to numpy. Arrays are made from the recorded dtype, shape and
bytes only after the three agree. Every dict is one that looks at the type of a key before it hashes it: other
keys than strings can be made to collide, so that a short file takes minutes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

MAX_BYTES = 128 * 2**20  # 7 million cells of iterations and recordings
MAX_CONTAINERS = 5_000_000
MAX_OBJECTS = 5_000_000  # results of calls, and tuples
MAX_VALUES = 50_000_000
FEW_VALUES = 200_000  # a file may have these however short it is
MAX_DEPTH = 8

_BYTES, _LENGTH = frozenset({bytes, bytearray}), frozenset({int})
_SCALARS = frozenset({float, int, bool, str, type(None)})
_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|U\d{1,4})\Z")
_REFUSED = {"ADDITEMS", "BINPERSID", "DUP", "EMPTY_SET", "EXT1", "EXT2", "EXT4", "FROZENSET", "INST"}
_REFUSED |= {"NEWOBJ", "NEWOBJ_EX", "NEXT_BUFFER", "OBJ", "PERSID", "READONLY_BUFFER"}
_ALLOWED = {ord(op.code): op for op in pickletools.opcodes if op.name not in _REFUSED}
_STOP, _PUT, _LONG_BINPUT, _BINBYTES, _EMPTY_DICT, _DICT = b".prB}d"
_NEXT_BUFFER, _MARK = b"\x97("
_NONE_BINPERSID = b"NQ"
_NEXT_MEMO = (b"\x94", b"q")  # MEMOIZE, and BINPUT up to 255
_LISTS = (b"]", b"l")
_OBJECTS = (b"R", b"t", b"\x85", b"\x86", b"\x87")
_FEW = 64
_MEMO_WRITES = frozenset(
    ord(op.code) for op in pickletools.opcodes if "PUT" in op.name or op.name == "MEMOIZE"
)
_COUNT_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


class RejectedRun(ValueError):
    """A run whose results cannot be used; the message is the reason, in one line."""


def load_plain(path: Path) -> Any:
    """Read a pickle that holds plain values only.

    Parameters
    ----------
    path : Path
        A file of at most `MAX_BYTES`.

    Returns
    -------
    object
        Nested dicts (string keys) and lists of str, int, float, bool, None and read-only numpy arrays of
        booleans, integers, floats or text. Tuples come back as lists.

    Raises
    ------
    RejectedRun
        If the file is missing, truncated, too large, or holds or asks for anything else.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise RejectedRun(f"{path.name} has {size} bytes; at most {MAX_BYTES} are read")
        content = path.read_bytes()
    except OSError as error:
        raise RejectedRun(f"{path.name} cannot be read: {error.strerror}") from error
    return loads_plain(content, path.name)


def loads_plain(content: bytes, name: str = "pickle") -> Any:
    """Read a pickle from memory, as `load_plain`."""
    try:
        loaded = _Unpickler(_checked(content)).load()
        return _Converter(min(max(len(content), FEW_VALUES), MAX_VALUES)).convert(loaded, 0)
    except RejectedRun as error:
        raise RejectedRun(f"{name}: {error}") from error
    except Exception as error:  # whatever a damaged file makes the unpickler trip over
        raise RejectedRun(f"{name} is damaged: {type(error).__name__} {_one_line(error)}") from error


def _checked(content: bytes) -> bytearray:
    """Walk through the instructions, and have them ask for a `_Dict` where they make a dict.

    Nothing is built, so nothing here can run. What loading them will take is bounded: lengths by the file,
    lists and dicts by their number.
    """
    few = _FEW if len(content) <= MAX_CONTAINERS else 0  # a byte is one list at most, so no more can be found
    position, memo_writes, containers, objects, end = 0, 0, 0, 0, len(content)
    many = end > MAX_OBJECTS and _at_most(_OBJECTS, content, 0, end, 0) > MAX_OBJECTS
    program = bytearray(content)
    while position < end:
        if plain := _PLAIN_RUN.match(content, position):
            start, position = position, plain.end()
            memo_writes += _at_most(_NEXT_MEMO, content, start, position, few)
            containers += _at_most(_LISTS, content, start, position, few)
            if containers > MAX_CONTAINERS:
                raise RejectedRun(f"more than {MAX_CONTAINERS} lists and dicts")
            objects += _at_most(_OBJECTS, content, start, position, 0) if many else 0
            if objects > MAX_OBJECTS:
                raise RejectedRun(f"more than {MAX_OBJECTS} tuples and objects")
            continue
        code = content[position]
        if code == _BINBYTES:
            position += 5 + int.from_bytes(content[position + 1 : position + 5], "little")
            continue
        if code == _STOP:
            return program
        if code in _MEMO_WRITES:
            memo_writes += 1
            _check_memo_index(content, position, memo_writes)
        elif code in (_EMPTY_DICT, _DICT):
            containers += 1
            _ask_for_dict(program, position)
        skip = _SKIP[code]
        position = position + 1 + skip if skip >= 0 else _after_argument(content, position)
    raise RejectedRun(f"truncated after {end} bytes")


def _ask_for_dict(program: bytearray, position: int) -> None:
    """Replace the instruction for a dict by one for a `_Dict`, of the same length."""
    if program[position] == _EMPTY_DICT:
        program[position] = _NEXT_BUFFER
    elif program[position - 1] == _MARK:  # how the oldest protocol writes an empty dict
        program[position - 1 : position + 1] = _NONE_BINPERSID
    else:
        raise RejectedRun("damaged: a dict that was not empty at first")


def _at_most(codes: tuple[bytes, ...], content: bytes, start: int, stop: int, few: int) -> int:
    """How often these instructions occur at most: arguments count too; less than `few` bytes are not read."""
    return stop - start if stop - start < few else sum(content.count(code, start, stop) for code in codes)


def _check_memo_index(content: bytes, position: int, memo_writes: int) -> None:
    """The unpickler makes room up to the index at once, so an index out of sequence is a memory bomb."""
    code = content[position]
    if code == _LONG_BINPUT:
        index = int.from_bytes(content[position + 1 : position + 5], "little")
    elif code == _PUT:
        index = int(content[position + 1 : content.index(b"\n", position)])
    else:
        return
    if not 0 <= index <= memo_writes:
        raise RejectedRun(f"damaged: memo index {index} after {memo_writes} entries")


def _after_argument(content: bytes, position: int) -> int:
    """Position after an instruction whose argument's length stands in the file, or RejectedRun."""
    opcode = _ALLOWED.get(content[position])
    if opcode is None or opcode.arg is None:
        raise RejectedRun(f"instruction {content[position]:#04x}: no numpy array and no plain Python value")
    width = _COUNT_BYTES.get(opcode.arg.n)
    if width is not None:
        start = position + 1 + width
        return start + int.from_bytes(content[position + 1 : start], "little")
    for _ in range(2 if opcode.arg.name.endswith("pair") else 1):
        position = content.find(b"\n", position + 1)
        if position < 0:
            raise RejectedRun(f"truncated after {len(content)} bytes")
    return position + 1


def _skips() -> list[int]:
    """Length of each instruction's argument; -1 where it varies or the instruction is refused."""
    skips = [-1] * 256
    for code, opcode in _ALLOWED.items():
        length = 0 if opcode.arg is None else opcode.arg.n
        skips[code] = length if length >= 0 else -1
    return skips


_SKIP = _skips()


def _plain_run() -> re.Pattern[bytes]:
    """As many instructions as follow one another that need no look: loops in C, where there are 100,000."""
    codes = [
        (code, skip)
        for code, skip in enumerate(_SKIP)
        if skip >= 0 and code not in (_STOP, _PUT, _LONG_BINPUT, _EMPTY_DICT, _DICT)
    ]
    by_length = {skip: bytes(c for c, s in codes if s == skip) for _, skip in codes}
    bare = b"[%s]++" % re.escape(by_length.pop(0))
    kinds = [b"[%s].{%d}" % (re.escape(members), skip) for skip, members in sorted(by_length.items())]
    return re.compile(b"(?:%s)++" % b"|".join([kinds[0], bare, *kinds[1:]]), re.DOTALL)  # frequent ones first


_PLAIN_RUN = _plain_run()


class _Recorder:
    """Stands where a pickle asks for numpy. Slots: there may be millions."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise RejectedRun("damaged: a state for something that has none")


class _Ndarray(_Recorder):
    """Only ever named as the type of `_Array`."""

    __slots__ = ()

    def __new__(cls, *args: object) -> NoReturn:
        raise RejectedRun("damaged: an array without dtype and bytes")


class _Dtype(_Recorder):
    __slots__ = ("dtype",)

    def __init__(self, code: str, *flags: object) -> None:
        if not isinstance(code, str) or not _DTYPE.match(code):
            raise RejectedRun(f"an array of type {code!r}; expected booleans, integers, floats or text")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise RejectedRun("an array with fields; expected booleans, integers, floats or text")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(_Recorder):
    """`_reconstruct(ndarray, (0,), b'b')`, then the real content as a state."""

    __slots__ = ("state",)

    def __init__(self, kind: object, shape: object, code: object) -> None:
        if kind is not _Ndarray:
            raise RejectedRun("a subclass of array; expected plain numpy arrays")
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def array(self) -> np.ndarray:
        """The array that the state describes."""
        if self.state is None:
            raise RejectedRun("holds an array without content; expected numpy arrays and plain values")
        _, shape, dtype, is_fortran, content = self.state
        return _array(content, dtype, shape, "F" if is_fortran else "C")


class _FromBuffer(_Recorder):
    __slots__ = ("array",)

    def __init__(self, content: object, dtype: object, shape: object, order: object) -> None:
        self.array = _array(content, dtype, shape, "F" if order == "F" else "C")


class _Copies(_Recorder):
    """Copies of what the file holds: each time something else, so that they are no longer than the file."""

    __slots__ = ("left",)

    def __init__(self, n_bytes: int) -> None:
        self.left = n_bytes

    def count(self, n_bytes: int) -> None:
        self.left -= n_bytes
        if self.left < 0:
            raise RejectedRun("damaged: it holds the same text or number too often")


class _Scalar(_Copies):
    __slots__ = ()

    def __call__(self, dtype: object, content: object) -> Any:
        """Return the plain Python value."""
        scalar = _array(content, dtype, (), "C")
        self.count(scalar.nbytes)
        return scalar.item()


class _Latin1(_Copies):
    """`_codecs.encode(text, 'latin1')`, how old protocols write bytes."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        """Return the bytes."""
        if encoding not in ("latin1", "latin-1"):
            raise RejectedRun(f"text in the encoding {encoding!r}")
        self.count(str.__len__(text))
        return str.encode(text, "latin-1")


class _NoBytes(_Recorder):
    """`bytes()`, how old protocols write the content of an empty array."""

    __slots__ = ()

    def __new__(cls) -> Any:
        return b""


class _Dict(_Recorder, dict[str, Any]):
    """A dict that hashes strings only."""

    __slots__ = ()

    def __setitem__(self, key: object, value: Any) -> None:
        if type(key) is not str:
            raise RejectedRun("a dict whose keys are no strings")
        super().__setitem__(key, value)


_NAMES: dict[tuple[str, str], type] = {("numpy", "ndarray"): _Ndarray, ("numpy", "dtype"): _Dtype}
for _core in ("numpy.core", "numpy._core"):  # numpy 1 and numpy 2
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = _Array
    _NAMES[f"{_core}.multiarray", "scalar"] = _Scalar
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _FromBuffer
_NAMES["_codecs", "encode"] = _Latin1
_NAMES["__builtin__", "bytes"] = _NoBytes


class _Unpickler(pickle.Unpickler):
    def __init__(self, program: bytearray) -> None:
        super().__init__(io.BytesIO(program), buffers=iter(_Dict, None))
        self._copies: dict[type, _Copies] = {kind: kind(len(program)) for kind in (_Scalar, _Latin1)}

    def persistent_load(self, pid: object) -> _Dict:
        """Return the dict that the oldest protocol asks for."""
        return _Dict()

    def find_class(self, module: str, name: str) -> type | _Copies:
        """Return the recorder for a name of numpy's, and refuse every other name."""
        if (module, name) not in _NAMES:
            wanted = _one_line(f"{module}.{name}")
            raise RejectedRun(f"asks for {wanted}; only numpy arrays and plain Python values are read")
        found = _NAMES[module, name]
        return self._copies.get(found, found)


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Array over the bytes (no copy), after shape, dtype and number of bytes are found to agree."""
    if type(dtype) is not _Dtype or type(content) not in _BYTES:
        raise RejectedRun("damaged: an array without dtype and bytes")
    shape = (shape,) if type(shape) is int else tuple(shape)
    if len(shape) > 4 or not _LENGTH.issuperset(map(type, shape)) or (shape and min(shape) < 0):
        raise RejectedRun(f"damaged: an array of shape {_one_line(shape)}")
    expected = math.prod(shape) * dtype.dtype.itemsize
    if len(content) != expected:
        raise RejectedRun(f"damaged: an array of {expected} bytes has {len(content)}")
    array = np.ndarray(shape, dtype.dtype, content, 0, None, order)
    array.flags.writeable = False
    return array


def _vectors(recorders: Sequence[_Array]) -> list[np.ndarray] | None:
    """The arrays of recorders, if they are vectors of one type, as thousands are; None if there is doubt."""
    states = [recorder.state for recorder in recorders]
    if any(type(state) is not tuple or len(state) != 5 for state in states):
        return None
    _, shapes, dtypes, _, contents = zip(*states, strict=True)
    if len(set(map(id, dtypes))) > 1 or type(dtypes[0]) is not _Dtype or set(map(type, contents)) != {bytes}:
        return None
    if set(map(type, shapes)) != {tuple} or set(map(len, shapes)) != {1}:
        return None
    lengths, dtype = [shape[0] for shape in shapes], dtypes[0].dtype
    if set(map(type, lengths)) != _LENGTH or not dtype.itemsize:
        return None
    if [length * dtype.itemsize for length in lengths] != list(map(len, contents)):
        return None
    whole = np.frombuffer(b"".join(contents), dtype) if any(lengths) else np.empty(0, dtype)
    ends = np.cumsum(lengths).tolist()
    return [whole[end - length : end] for length, end in zip(lengths, ends, strict=True)]


class _Converter:
    """Takes arrays out of their recorders and counts values, which shared lists can multiply without end.

    Each value that is written down takes a byte at least: `limit` is the length of the file, or `FEW_VALUES`.
    """

    def __init__(self, limit: int) -> None:
        self.values, self.limit = 0, limit

    def convert(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if depth > MAX_DEPTH:
            raise RejectedRun(f"nested more than {MAX_DEPTH} deep")
        if kind is _Dict:
            return self._dict(value, depth)
        if kind is list or kind is tuple:
            return self._list(value, depth)
        array = getattr(value, "array", None) if isinstance(value, _Recorder) else None
        if array is None:
            raise RejectedRun(f"holds a {kind.__name__.strip('_')}; expected numpy arrays and plain values")
        self._count(_weight(array))
        return array

    def _dict(self, value: _Dict, depth: int) -> dict[str, Any]:
        self._count(len(value))
        return {key: self.convert(item, depth + 1) for key, item in value.items()}

    def _list(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        self._count(len(value))
        kinds = set(map(type, value))
        if kinds <= _SCALARS:
            return list(value)
        if kinds == {_Array}:
            return self._arrays(value)
        return [self.convert(item, depth + 1) for item in value]

    def _arrays(self, value: list[_Array] | tuple[_Array, ...]) -> list[np.ndarray]:
        arrays = _vectors(value) or [recorder.array for recorder in value]
        self._count(sum(map(_weight, arrays)) + len(arrays))
        return arrays

    def _count(self, number: int) -> None:
        self.values += number + 1
        if self.values > self.limit:
            raise RejectedRun(f"more than {self.limit} values")


def _weight(array: np.ndarray) -> int:
    """Number of values, or of rows without any."""
    return array.size or max(array.shape, default=0)


def _one_line(value: object) -> str:
    return " ".join(str(value).split())[:200]
