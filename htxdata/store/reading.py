"""What a statement of a reader may do, told from DuckDB's own parse of it. Pure: JSON in, a refusal or nothing out.

DuckDB is locked before the first statement (``store/lake.py``), but a directory that it may read it may also write:
``WITH x AS (COPY … TO '<lake>/…') SELECT …`` is a SELECT since 2.0, and ``json_execute_serialized_sql`` hides one in a
text. So only kinds of nodes and table functions that are known to read are let through; what a later DuckDB adds is
refused until somebody has looked at it. (Scalar functions touch no file; tests/store/test_jail.py lists them.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from htxdata.errors import UsageError

_NODE = re.compile(r'"type":"(\w+_NODE)"')
_BRACKET = re.compile(r"[()]")
_READING = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})

OF_FILES = frozenset(
    {
        "parquet_bloom_probe", "parquet_file_metadata", "parquet_full_metadata",
        "parquet_kv_metadata", "parquet_metadata", "parquet_scan", "parquet_schema", "read_blob", "read_csv",
        "read_csv_auto", "read_json", "read_json_auto", "read_json_objects", "read_json_objects_auto",
        "read_ndjson", "read_ndjson_auto", "read_ndjson_objects", "read_parquet", "read_text", "sniff_csv",
    }
)  # fmt: skip
"""Table functions that open files: those of the lake, and DuckDB refuses all others. Not ``glob``, which follows a link
out of the lake and tells the names there."""

TABLE_FUNCTIONS = OF_FILES | frozenset(
    {
        "duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_dependencies", "duckdb_functions",
        "duckdb_indexes", "duckdb_keywords", "duckdb_memory", "duckdb_optimizers",
        "duckdb_profiling_settings", "duckdb_schemas", "duckdb_settings", "duckdb_tables",
        "duckdb_temporary_files", "duckdb_types", "duckdb_variables", "duckdb_views", "generate_series",
        "histogram", "histogram_values", "icu_calendar_names", "json_each", "json_tree", "pg_timezone_names",
        "pragma_collations", "pragma_database_size", "pragma_platform", "pragma_show", "pragma_table_info",
        "pragma_user_agent", "pragma_version", "query", "query_table", "range", "repeat", "repeat_row",
        "summary", "test_all_types", "unnest",
    }
)  # fmt: skip
"""What may stand in a FROM. ``query`` only with a text that may itself."""


_DEEPEST = 400


def check_depth(text: str) -> None:
    """Before DuckDB's parser (2.0) sees it: that takes memory with the square of open brackets, 100,000 kill it."""
    depth = 0
    for bracket in _BRACKET.findall(text):
        depth += 1 if bracket == "(" else -1
        if depth > _DEEPEST:
            raise UsageError(
                f"the statement is nested too deeply: more than {_DEEPEST} brackets are open at once"
            )


def parsed(told: str) -> tuple[dict[str, Any], list[str]]:
    """The parse of a SELECT as ``json_serialize_sql`` tells it, and the statements that it runs from texts.

    ``UsageError`` where any part of it does more than read. A statement nested deeper than Python follows, but without
    table functions, comes out as ``{"error": True}``: it may run, and nothing is known of it.
    """
    # Looked for in the text: a quote within a constant is escaped, so nothing else looks like the type of a node.
    strange = set(_NODE.findall(told)) - _READING
    if strange or told.startswith('{"error":true'):
        what = ", ".join(sorted(name.removesuffix("_NODE").removesuffix("_QUERY") for name in strange))
        raise UsageError(
            f"the lake is read-only: {what or 'such a statement'} is refused, also within a SELECT"
        )
    try:
        found: dict[str, Any] = json.loads(told)
    except RecursionError:
        if '"type":"TABLE_FUNCTION"' in told:
            raise UsageError("the statement is nested too deeply for a table function in it") from None
        return {"error": True}, []
    inner = []
    for entry in _objects(found):
        if entry.get("type") == "TABLE_FUNCTION":
            function = entry.get("function") or {}
            name = str(function.get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS:
                raise UsageError(
                    f"the lake is read-only: the table function {name!r} is none of those that only read"
                )
            if name == "query":
                inner.append(_text(function))
    return found, inner


def _text(function: dict[str, Any]) -> str:
    arguments = function.get("arguments") or []
    only = arguments[0].get("expression", {}) if len(arguments) == 1 else {}
    literal = only.get("literal")
    text = literal.get("text") if isinstance(literal, dict) and literal.get("kind") == "STRING" else None
    if not isinstance(text, str) or only.get("type") != "VALUE_CONSTANT":
        raise UsageError("query() takes one text here, so that it can be seen what it would run")
    return text


def _objects(parse: Any) -> Iterator[dict[str, Any]]:
    left = [parse]
    while left:
        entry = left.pop()
        if isinstance(entry, dict):
            yield entry
            left += entry.values()
        elif isinstance(entry, list):
            left += entry
