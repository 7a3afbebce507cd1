"""A folder over HTTP on 127.0.0.1, listed as S3 lists a bucket. Run as a script; it ends with its standard input."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from xml.sax.saxutils import escape

from aiohttp import web


def server(folder: Path) -> web.Application:
    kept = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    tags = {key: f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"' for key, body in kept.items()}
    keys = sorted(kept)

    async def answer(request: web.Request) -> web.Response:
        if request.query.get("list-type"):
            return web.Response(text=listing(request.query), content_type="application/xml")
        key = request.path.lstrip("/")
        if key not in kept:
            missing = "<Error><Code>NoSuchKey</Code></Error>"
            return web.Response(status=404, text=missing, content_type="application/xml")
        headers = {"ETag": tags[key], "Last-Modified": "Mon, 05 Jan 2026 00:00:00 GMT"}
        return web.Response(body=kept[key], headers=headers, content_type="application/zip")

    def listing(query: object) -> str:
        get = query.get  # type: ignore[attr-defined]
        prefix, after = get("prefix", ""), get("continuation-token", "")
        found = [key for key in keys if key.startswith(prefix) and key > after]
        page = found[:1000]
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-05T00:00:00.000Z</LastModified>"
            f"<ETag>{escape(tags[key])}</ETag><Size>{len(kept[key])}</Size></Contents>"
            for key in page
        )
        more = len(found) > len(page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        )

    app = web.Application()
    app.router.add_get("/{key:.*}", answer)
    return app


async def main(folder: Path) -> None:
    runner = web.AppRunner(server(folder), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
