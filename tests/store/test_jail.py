"""What a query may do: read the lake. Nothing is written, nothing outside is read, whatever DuckDB is asked."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import duckdb
import pytest

from htxdata.cli import main
from htxdata.errors import UsageError
from htxdata.research.lake import Lake
from htxdata.store import Store, reading
from tests.store.build import JANUARY, asked, candles

SECRET = "swordfish"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with three candles beside a file that nobody may read, and links in it that lead there."""
    store = Store(tmp_path / "lake")
    store.commit(JANUARY, candles([0, 1, 2]), [asked(0, 3)])
    (tmp_path / "secret.csv").write_text(f"{SECRET},1\n{SECRET},2\n")
    (tmp_path / "secret.json").write_text(f'{{"a":"{SECRET}"}}')
    duckdb.connect(str(tmp_path / "secret.duckdb")).execute(
        f"CREATE TABLE t AS SELECT '{SECRET}' AS a"
    ).close()
    os.symlink(tmp_path / "secret.csv", store.root / "link.csv")
    os.symlink(tmp_path, store.root / "up")
    return Lake(store.root)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


COPY = "COPY (SELECT 1 AS a) TO '{lake}/klines/x.parquet'"
WRITES = [
    COPY, "COPY (SELECT 1) TO '{top}/x.csv'", "COPY klines TO '{top}/x' (FORMAT parquet, PARTITION_BY (symbol))",
    "CREATE TABLE t AS SELECT 1", "CREATE VIEW v AS SELECT 1", "CREATE MACRO m() AS 1", "CREATE SEQUENCE s",
    "INSERT INTO klines VALUES (1)", "UPDATE klines SET close = 1", "DELETE FROM klines", "DROP VIEW klines",
    "ALTER VIEW klines RENAME TO k", "TRUNCATE klines",
    "MERGE INTO klines USING klines k ON true WHEN MATCHED THEN DELETE",
    "EXPORT DATABASE '{top}/x'", "IMPORT DATABASE '{top}'", "ATTACH '{top}/secret.duckdb'",
    "ATTACH '{lake}/x.duckdb'",
    "ATTACH ':memory:' AS m", "DETACH memory", "USE temp", "VACUUM", "CHECKPOINT", "BEGIN", "PREPARE p AS SELECT 1",
    "EXECUTE p", "CALL pragma_version()",
    "EXPLAIN ANALYZE " + COPY, "SELECT 1; " + COPY, "COMMENT ON VIEW klines IS 'x'",
    # Statements that are a SELECT to DuckDB, and write all the same.
    "WITH x AS (" + COPY + ") SELECT * FROM x", "WITH x AS MATERIALIZED (" + COPY + ") SELECT 1",
    "SELECT 1 UNION ALL (WITH x AS (" + COPY + ") SELECT 1)", "EXPLAIN ANALYZE WITH x AS (" + COPY + ") SELECT 1",
    "DESCRIBE WITH x AS (" + COPY + ") SELECT 1", "SUMMARIZE WITH x AS (" + COPY + ") SELECT 1",
    "WITH y AS (WITH x AS (" + COPY + ") SELECT 1) SELECT * FROM y",
    "with X as (copy(select 1)to'{lake}/x') from X",
    "WITH x AS (INSERT INTO klines VALUES (1) RETURNING *) SELECT * FROM x",
    "WITH x AS (UPDATE klines SET close = 1 RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM klines RETURNING *) SELECT * FROM x",
    "FROM query('" + COPY.replace("'", "''") + "')",
    "FROM query('WITH x AS (" + COPY.replace("'", "''") + ") SELECT 1')",
    "FROM query('FROM que' || 'ry(''SELECT 1'')')", "FROM system.main.query('SELECT ' || '1')",
    "FROM json_execute_serialized_sql(json_serialize_sql('WITH x AS (" + COPY.replace("'", "''") + ") SELECT 1'))",
    "FROM \"JSON_Execute_Serialized_SQL\"('x')", "FROM query('FROM json_execute_serialized_sql(''x'')')",
]  # fmt: skip
SETTINGS = [
    "SET enable_external_access = true", "SET allowed_directories = ['/']", "SET allowed_paths = ['/etc/passwd']",
    "SET lock_configuration = false", "RESET enable_external_access", "RESET allowed_directories",
    "SET TimeZone = 'Asia/Tokyo'",
    "PRAGMA enable_external_access = true", "PRAGMA enable_profiling", "SET VARIABLE x = 1",
    "SET SESSION temp_directory = '/'",
    "SET GLOBAL python_enable_replacements = true", "SET autoinstall_known_extensions = true",
    "INSTALL httpfs", "FORCE INSTALL httpfs FROM 'http://127.0.0.1:9'", "LOAD httpfs",
    "LOAD '{lake}/x.duckdb_extension'",
    "CREATE SECRET s (TYPE s3)", "DROP SECRET s",
    "FROM enable_logging('QueryLog', storage := 'file', storage_path := '{lake}/log')", "FROM enable_profiling()",
    "FROM disable_logging()", "FROM truncate_duckdb_logs()", "FROM checkpoint()", "FROM force_checkpoint()",
]  # fmt: skip
OUTSIDE = [
    "{top}/secret.csv", "{lake}/../secret.csv", "{lake}/link.csv", "{lake}/up/secret.csv",
    "{lake}/up/../../secret.csv",
    "file://{top}/secret.csv", "/etc/passwd", "/proc/self/environ", "/dev/stdin", "~/.bashrc",
    "gzip://{top}/secret.csv",
    "http://127.0.0.1:{port}/x.csv", "https://127.0.0.1:{port}/x.csv", "s3://bucket/x.csv", "hf://datasets/x/y.csv",
    "{top}/*.csv", "{lake}/*/secret.csv", "{top}/secret.duckdb", "{top}/secret.json",
]  # fmt: skip
OTHERS = [
    "SELECT getenv('HTX_SECRET_KEY')", "SELECT * FROM own_variable", "SELECT nextval('s')",
    "FROM python_map_function()",
    "FROM pandas_scan(1)", "FROM arrow_scan(1, 2, 3)", "FROM seq_scan()", "FROM duckdb_secrets()",
    "FROM which_secret('a', 's3')",
    "FROM '{top}/secret.csv'", "FROM '{top}/secret.duckdb'", "SELECT * FROM '{lake}/link.csv'",
    "FROM \"{top}/secret.json\"",
    "FROM read_text(['{lake}/klines', '{top}/secret.csv'])", "FROM glob('{lake}/*')", "FROM glob('{lake}/*/*')",
    "FROM read_csv('{lake}/' || '../secret.csv')", "FROM query('FROM read_text(''{top}/secret.csv'')')",
    "FROM query_table('{top}/secret.csv')", "SELECT * FROM read_parquet('{lake}/up/**')",
    "", ";", "--", "SELEC 1", "SELECT 1; SELECT 2", "\\", "'", "SELECT '\udcff'", "SELECT $1", "SELECT ?",
    "SELECT " + "(SELECT " * 500 + "1" + ")" * 500, "SELECT " + "(" * 100_000, "WITH a AS (" * 20_000,
    "SELECT " + "[" * 900 + "1" + "]" * 900 + " FROM read_text('/etc/passwd')",
]  # fmt: skip


def refused(lake: Lake, text: str, port: int = 9) -> None:
    """It ends with a sentence, and what lies around is as it was."""
    before = files(lake.root.parent)
    with pytest.raises(UsageError) as raised:
        lake.answer(text.format(lake=lake.root, top=lake.root.parent, port=port) if "{" in text else text)
    assert SECRET not in str(raised.value)
    assert files(lake.root.parent) == before


@pytest.mark.parametrize("text", WRITES + SETTINGS + OTHERS, ids=lambda text: text[:60])
def test_whatever_is_no_reading_of_the_lake_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Statements, statements within a SELECT, settings, extensions, tricks: a UsageError, and no file is touched."""
    monkeypatch.setenv("HTX_SECRET_KEY", SECRET)
    own_variable = [SECRET]
    refused(lake, text)
    assert own_variable == [SECRET]


def of_files() -> list[str]:
    """Table functions of this DuckDB whose first argument is a file, by the names of their parameters."""
    rows = duckdb.sql(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro') AND "
        "(regexp_matches(coalesce(parameters[1], ''), 'path|file|pattern|url|uri') "
        " OR regexp_matches(function_name, '^(read_|parquet_|sniff_|glob)')) ORDER BY 1"
    ).fetchall()
    return [name for (name,) in rows]


def test_every_table_function_that_opens_files_is_held_to_the_lake(lake: Lake) -> None:
    """All that this DuckDB has, and every way of spelling a place outside: refused, and nobody is asked on the wire."""
    names = of_files()
    assert set(names) >= reading.OF_FILES, "what is let through is what is tried here"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        for name in names:
            for place in OUTSIDE:
                spelled = place.format(lake=lake.root, top=lake.root.parent, port=server.getsockname()[1])
                more = ", 'open', 1" if name == "parquet_bloom_probe" else ""
                try:
                    said = str(lake.answer(f"SELECT * FROM {name}('{spelled}'{more})").to_pylist() or "")
                except UsageError as error:
                    said = str(error).replace(spelled, "")
                assert (SECRET in said, "root:" in said) == (False, False), (name, place)
        with pytest.raises(BlockingIOError):
            server.accept()
    path = next(str(path) for path in lake.root.rglob("part.parquet"))
    assert lake.answer(f"SELECT count(*) AS n FROM read_parquet('{path}')").to_pydict() == {"n": [3]}


def test_what_a_newer_duckdb_adds_is_looked_at() -> None:
    """Table functions that are let through exist; scalar ones that sound like files, the environment or the network
    are known to touch neither. A DuckDB with others fails here until somebody has looked."""
    told = duckdb.sql("SELECT DISTINCT function_name, function_type FROM duckdb_functions()").fetchall()
    tables = {name for name, kind in told if kind in ("table", "table_macro")}
    assert tables >= reading.TABLE_FUNCTIONS
    scalars = {name for name, kind in told if kind in ("scalar", "macro", "aggregate")}
    alarming = re.compile(
        r"file|path|read|write|glob|env|http|url|secret|attach|load|exec|shell|system|copy|import|export"
    )
    assert {name for name in scalars if alarming.search(name)} == {
        "__internal_json_copy_to_geojson", "__internal_json_copy_to_json", "in_search_path",
        "json_copy_strftime_if_date",
        "json_copy_strftime_if_timestamp", "json_extract_path", "json_extract_path_text", "parse_dirpath",
        "parse_filename", "parse_path", "path_join", "pg_conf_load_time", "url_decode", "url_encode", "write_log",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) AS n FROM klines", "FROM query('SELECT count(*) AS n FROM klines')",
        "SELECT count(*) AS n FROM query('FROM query(''FROM klines'')')", "SELECT 3 AS n FROM range(1)",
        "WITH k AS MATERIALIZED (FROM klines) SELECT count(*) AS n FROM k",
        "SELECT '\"type\":\"COPY_QUERY_NODE\"' = '' OR 3 AS n",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT max(n) AS n FROM r",
        "SELECT count(*) AS n FROM (FROM klines UNION FROM klines)",
        "SELECT " + "+".join(["1"] * 450) + " - 447 AS n",
        "SELECT count(*) AS n FROM klines WHERE " + " AND ".join(["close > 0"] * 3000),
    ],
    ids=lambda text: text[:60],
)  # fmt: skip
def test_what_only_reads_is_let_through(lake: Lake, text: str) -> None:
    """However it is nested or spelled."""
    assert lake.answer(text).column("n").to_pylist()[0] in (3, True)


def test_a_lake_behind_a_link_is_a_lake_and_a_link_out_of_one_is_named(lake: Lake) -> None:
    """The lake's folder may itself be a link. A series behind one that leads away is refused by its name."""
    root = lake.root
    os.symlink(root, root.with_name("linked"))
    assert Lake(root.with_name("linked")).klines().shape[0] == 3
    os.rename(root / "klines", root.with_name("elsewhere"))
    os.symlink(root.with_name("elsewhere"), root / "klines")
    for text in ("FROM klines", "SELECT count(*) FROM klines"):
        with pytest.raises(UsageError, match=r"klines/.* leads out of the lake .* by a symbolic link"):
            lake.answer(text)


def test_the_command_ends_with_2_and_one_sentence(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each kind one, through the front door."""
    config = lake.root.with_name("htxdata.toml")
    config.write_text(f'lake = "{lake.root}"\ntape = "{lake.root.parent}/tape"\n')
    for text, words in (
        (
            f"WITH x AS (COPY (SELECT 1) TO '{lake.root}/x') SELECT 1",
            "the lake is read-only: COPY is refused",
        ),
        ("SELECT * FROM read_text('/etc/passwd')", "and nothing else: Cannot access file"),
        ("INSTALL httpfs", "the lake is read-only"),
        ("SELECT CAST('x' AS INTEGER)", "Conversion Error"),
        ("SELECT '\udcff'", "not SQL"),
    ):
        assert main(["query", text, "--config", str(config)]) == 2
        said = capsys.readouterr()
        assert (said.out, words in said.err, "Traceback" in said.err) == ("", True, False)


def test_what_does_not_fit_into_memory_lies_in_a_folder_of_its_own(lake: Lake) -> None:
    """The folder for it may be read by statements, so nobody else's files are in it; without need it is not made."""
    (folder,) = lake.answer("SELECT current_setting('temp_directory') AS f").column("f").to_pylist()
    allowed = (
        lake.answer("SELECT unnest(current_setting('allowed_directories')) AS f").column("f").to_pylist()
    )
    assert sorted(allowed) == sorted([f"{lake.root}/", f"{folder}/"])
    assert not Path(folder).exists()
