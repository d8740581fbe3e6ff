"""What naming a global in a pickle means: builds data, runs code, or unknown. An allowlist; data and nothing else.

Loading a pickle calls what it names, so a list of what is forbidden is never complete: what is not listed here is
unlisted, which a project's policy may change, or dangerous, which nothing changes.
"""

import re
from collections.abc import Iterable

LISTED, UNLISTED, DANGEROUS = 1, 2, 3

_ALIASES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_CLASS = r"[A-Z]\w*"

# Modules and the names in them that build data. Both are whole regular expressions.
_LISTED = [
    (re.compile(module), re.compile(names))
    for module, names in (
        (
            r"builtins",
            r"set|frozenset|list|dict|tuple|bytearray|bytes|complex|slice|range|int|float|bool|str|object",
        ),
        (r"copyreg", r"_reconstructor|__newobj__|__newobj_ex__"),
        (r"collections", r"OrderedDict|defaultdict|Counter|deque"),
        (r"datetime", r"date|time|datetime|timedelta|timezone"),
        (r"decimal", r"Decimal"),
        (r"fractions", r"Fraction"),
        (r"uuid", r"UUID"),
        (r"pathlib(\._local)?", r"(Pure)?(Posix|Windows)Path"),
        (r"_codecs", r"encode"),
        (r"numpy", r"ndarray|dtype|matrix|bool_?|u?int\d+|float\d+|complex\d+|str_|bytes_|void|datetime64|timedelta64"),
        (r"numpy\._?core\.multiarray", r"_reconstruct|scalar"),
        (r"numpy\._?core\.numeric", r"_frombuffer"),
        (r"numpy\.dtypes", _CLASS),
        (r"numpy\.ma(\.core)?", r"_mareconstruct|MaskedArray"),
        (r"numpy\.random\._pickle", r"__randomstate_ctor|__generator_ctor|__bit_generator_ctor"),
        (r"numpy\.random\._(mt19937|pcg64|philox|sfc64)", r"MT19937|PCG64|PCG64DXSM|Philox|SFC64"),
        (
            r"numpy\.random\.(mtrand|_generator|bit_generator)",
            r"RandomState|Generator|SeedSequence|__pyx_unpickle_SeedSequence",
        ),
        (r"scipy\.sparse(\._?\w+)?", r"(bsr|coo|csc|csr|dia|dok|lil)_(matrix|array)"),
        (r"scipy\.interpolate(\._?\w+)?", _CLASS),
        (r"pandas\.core\.(frame|series|arrays(\.\w+)?|indexes(\.\w+)?|dtypes\.dtypes|internals(\.\w+)?)", _CLASS),
        (r"pandas\.core\.indexes\.base", r"_new_Index"),
        (r"pandas\._libs\.internals", r"_unpickle_block|BlockManager"),
        (r"pandas", r"DataFrame|Series|Index|Timestamp|Categorical"),
        (r"sklearn(\.(?!datasets|externals)\w+)*", r"_?[A-Z]\w*|__pyx_unpickle_\w+|newObj"),
        (r"joblib\.numpy_pickle", r"NumpyArrayWrapper"),
        (r"torch", r"\w+Storage|Size|device|Tensor|(b?float|half|double|u?int|short|long|bool|complex)\w*"),
        (r"torch\._utils", r"_rebuild_(tensor(_v2)?|parameter|sparse_tensor|qtensor|device_tensor_from_numpy)"),
        (r"torch\._tensor", r"_rebuild_from_type_v2"),
        (r"torch\.nn\.parameter", r"Parameter|Buffer"),
        (r"torch\.nn\.modules(\.\w+)?", _CLASS),
        (r"torch\.storage", r"TypedStorage|UntypedStorage|_TypedStorage"),
        (r"xgboost\.(core|sklearn)", r"Booster|XGB\w+"),
        (r"lightgbm\.(basic|sklearn)", r"Booster|LGBM\w+"),
    )
]

# Whatever they hold may run code, read files or reach the network.
_DANGEROUS_ROOTS = frozenset(
    "__main__ _aix_support _io _osx_support _pickle _posixsubprocess _pyrepl _socket _winapi aiohttp asyncio atexit bdb"
    " cProfile cffi cloudpickle code codeop commands ctypes dbm dill distutils doctest fileinput ftplib gc glob"
    " http httpx idlelib imaplib importlib inspect io lib2to3 linecache logging marshal mailcap mmap multiprocessing"
    " nntplib nt ntpath os pathlib pdb pickle pip pkg_resources pkgutil platform poplib popen2 posix posixpath profile"
    " pty py_compile pydoc requests runpy sched select setuptools shelve shutil signal site smtplib socket socketserver"
    " sqlite3 ssl subprocess sys sysconfig tarfile telnetlib tempfile test threading timeit trace types urllib urllib3"
    " uuid venv webbrowser wsgiref xmlrpc zipfile zipimport zipapp".split()
)
_DANGEROUS = [
    (re.compile(module), re.compile(names))
    for module, names in (
        (r"builtins", r".*"),
        (r"operator|_operator", r"attrgetter|methodcaller|itemgetter|call"),
        (r"functools|_functools", r"partial|partialmethod|reduce"),
        (r"copyreg", r"add_extension|pickle"),
        (r"_codecs|codecs", r".*"),
        (r"torch", r"load|hub|jit|compile|ops|classes"),
        (r"torch\.(hub|jit|utils|package|distributed|_dynamo|_inductor|multiprocessing)(\..*)?", r".*"),
        (r"torch\.(storage|serialization)", r".*"),
        (r"numpy", r"load|loadtxt|genfromtxt|fromfile|memmap|save.*"),
        (r"numpy\.(testing|distutils|f2py|lib|ctypeslib)(\..*)?", r".*"),
        (r"joblib", r"load|dump|Parallel|delayed"),
        (r"sklearn\.(datasets|externals)(\..*)?", r".*"),
        (r"pandas", r"read_.*|eval"),
        (r"pandas\.(io|core\.computation)(\..*)?", r".*"),
    )
]


def rate(module: str, name: str) -> int:
    """LISTED, UNLISTED or DANGEROUS. A name that reaches into another by a dot is never listed.

    `?` stands for a name that is put together only when the pickle is loaded.
    """
    module = _ALIASES.get(module, module)
    if _matches(_LISTED, module, name):
        return LISTED
    if module == "?" or module.partition(".")[0] in _DANGEROUS_ROOTS or _matches(_DANGEROUS, module, name):
        return DANGEROUS
    return UNLISTED


def permits(patterns: Iterable[str], module: str, name: str) -> bool:
    """Whether a project lists an unlisted global: `package.module.name`, or `package.module.*` for all in it."""
    return any(one in (f"{module}.{name}", f"{module}.*") for one in patterns)


def _matches(table: Iterable[tuple[re.Pattern[str], re.Pattern[str]]], module: str, name: str) -> bool:
    return any(modules.fullmatch(module) and names.fullmatch(name) for modules, names in table)
