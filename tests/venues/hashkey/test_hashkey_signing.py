"""HashKey's signature against its published vectors."""

from __future__ import annotations

from dataclasses import replace

from htxdata.keys import Keys, Secret
from htxdata.market import Series
from htxdata.protocol.paging import Ask
from htxdata.timeline import DAY, Window
from htxdata.transport.http import target_of
from htxdata.venues.hashkey import own, signing

KEY = Keys(Secret("access"), Secret("lH3ELTNiFxCQTmi9pPcWWikhsjO04Yoqw3euoHUuOLC3GYBW64ZqzQsiOEHXQS76"))
QUERY = "symbol=ETHBTC&side=BUY&type=LIMIT&timeInForce=GTC"
BODY = "quantity=1&price=0.1&recvWindow=5000&timestamp=1538323200000"


def test_the_vectors() -> None:
    """hashkey-api 6: all in the query, and split between query and body without an ``&``."""
    assert (
        signing.signature(f"{QUERY}&{BODY}", "", KEY)
        == "5f2750ad7589d1d40757a55342e621a44037dad23b5128cc70e18ec1d1c3f4c6"
    )
    assert (
        signing.signature(QUERY, BODY, KEY)
        == "885c9e3dd89ccd13408b25e6d54c2330703759d7494bea6dd5a3d1fd16ba3afa"
    )


def test_a_request_is_signed_as_it_is_sent() -> None:
    """In order, the window and the time at its end, the signature last; its query is the text of the vector."""
    said = [tuple(pair.split("=")) for pair in f"{QUERY}&quantity=1&price=0.1".split("&")]
    params = signing.sign_params(said, KEY, 1_538_323_200_000_000, receive_window=5000)  # type: ignore[arg-type]
    assert signing.query_of(params[:-1]) == f"{QUERY}&{BODY}"
    assert params[-1] == ("signature", "5f2750ad7589d1d40757a55342e621a44037dad23b5128cc70e18ec1d1c3f4c6")
    swapped = signing.sign_params(said[::-1], KEY, 1_538_323_200_000_000, receive_window=5000)  # type: ignore[arg-type]
    assert swapped[-1] != params[-1]


def test_the_edges_of_the_query() -> None:
    """Empty parameters, commas as they are, everything else encoded."""
    assert signing.query_of(()) == ""
    assert signing.query_of([("a", "1,2"), ("b", ""), ("c d", "x:y z+")]) == "a=1,2&b=&c%20d=x%3Ay%20z%2B"
    assert signing.sign_params((), KEY, 1_000_000)[0] == ("timestamp", "1000")


def test_what_is_sent_is_what_was_signed() -> None:
    """The transport spells the query of every private question as the signature's text has it."""
    for endpoint in own.OWN:
        request = endpoint.build(Series("own_fills", "hashkey", "BTCUSDT-PERPETUAL"), Ask(Window(0, DAY), 500))
        params = own.sign(request, "api-glb.hashkey.com", KEY, 1_538_323_200_000_000)
        sent = target_of(replace(request, params=params))
        text, _, made = sent.partition("?")[2].rpartition("&signature=")
        assert text == signing.query_of(params[:-1])
        assert made == signing.signature(text, "", KEY)
    assert own.headers(KEY)["X-HK-APIKEY"] == "access"
