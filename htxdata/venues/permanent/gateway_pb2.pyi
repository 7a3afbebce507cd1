from google.protobuf import any_pb2 as _any_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUB: _ClassVar[Action]
    REQ: _ClassVar[Action]
    UNSUB: _ClassVar[Action]
    PUSH: _ClassVar[Action]
    PING: _ClassVar[Action]
    PONG: _ClassVar[Action]

class Side(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUY: _ClassVar[Side]
    SELL: _ClassVar[Side]

class Interval(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MIN_1: _ClassVar[Interval]
    MIN_5: _ClassVar[Interval]
    MIN_15: _ClassVar[Interval]
    MIN_30: _ClassVar[Interval]
    MIN_60: _ClassVar[Interval]
    HOUR_4: _ClassVar[Interval]
    DAY_1: _ClassVar[Interval]
    WEEK_1: _ClassVar[Interval]
    MON_1: _ClassVar[Interval]
    YEAR_1: _ClassVar[Interval]
SUB: Action
REQ: Action
UNSUB: Action
PUSH: Action
PING: Action
PONG: Action
BUY: Side
SELL: Side
MIN_1: Interval
MIN_5: Interval
MIN_15: Interval
MIN_30: Interval
MIN_60: Interval
HOUR_4: Interval
DAY_1: Interval
WEEK_1: Interval
MON_1: Interval
YEAR_1: Interval

class Result(_message.Message):
    __slots__ = ("code", "sequence", "action", "ch", "message", "data")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    code: int
    sequence: int
    action: Action
    ch: str
    message: str
    data: _any_pb2.Any
    def __init__(self, code: _Optional[int] = ..., sequence: _Optional[int] = ..., action: _Optional[_Union[Action, str]] = ..., ch: _Optional[str] = ..., message: _Optional[str] = ..., data: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("ts",)
    TS_FIELD_NUMBER: _ClassVar[int]
    ts: int
    def __init__(self, ts: _Optional[int] = ...) -> None: ...

class Candlestick(_message.Message):
    __slots__ = ("id", "open", "close", "low", "high", "turnover", "volume", "num_of_trades", "symbol")
    ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    TURNOVER_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    NUM_OF_TRADES_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    id: int
    open: str
    close: str
    low: str
    high: str
    turnover: str
    volume: str
    num_of_trades: int
    symbol: str
    def __init__(self, id: _Optional[int] = ..., open: _Optional[str] = ..., close: _Optional[str] = ..., low: _Optional[str] = ..., high: _Optional[str] = ..., turnover: _Optional[str] = ..., volume: _Optional[str] = ..., num_of_trades: _Optional[int] = ..., symbol: _Optional[str] = ...) -> None: ...

class ReqCandlestick(_message.Message):
    __slots__ = ("symbol", "candlesticks")
    class Tick(_message.Message):
        __slots__ = ("id", "open", "close", "low", "high", "turnover", "volume", "num_of_trades")
        ID_FIELD_NUMBER: _ClassVar[int]
        OPEN_FIELD_NUMBER: _ClassVar[int]
        CLOSE_FIELD_NUMBER: _ClassVar[int]
        LOW_FIELD_NUMBER: _ClassVar[int]
        HIGH_FIELD_NUMBER: _ClassVar[int]
        TURNOVER_FIELD_NUMBER: _ClassVar[int]
        VOLUME_FIELD_NUMBER: _ClassVar[int]
        NUM_OF_TRADES_FIELD_NUMBER: _ClassVar[int]
        id: int
        open: str
        close: str
        low: str
        high: str
        turnover: str
        volume: str
        num_of_trades: int
        def __init__(self, id: _Optional[int] = ..., open: _Optional[str] = ..., close: _Optional[str] = ..., low: _Optional[str] = ..., high: _Optional[str] = ..., turnover: _Optional[str] = ..., volume: _Optional[str] = ..., num_of_trades: _Optional[int] = ...) -> None: ...
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    CANDLESTICKS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    candlesticks: _containers.RepeatedCompositeFieldContainer[ReqCandlestick.Tick]
    def __init__(self, symbol: _Optional[str] = ..., candlesticks: _Optional[_Iterable[_Union[ReqCandlestick.Tick, _Mapping]]] = ...) -> None: ...

class Depth(_message.Message):
    __slots__ = ("ts", "bids", "asks", "delta", "symbol")
    class Step(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STEP0: _ClassVar[Depth.Step]
        STEP1: _ClassVar[Depth.Step]
        STEP2: _ClassVar[Depth.Step]
        STEP3: _ClassVar[Depth.Step]
        STEP4: _ClassVar[Depth.Step]
        STEP5: _ClassVar[Depth.Step]
        PERCENT10: _ClassVar[Depth.Step]
    STEP0: Depth.Step
    STEP1: Depth.Step
    STEP2: Depth.Step
    STEP3: Depth.Step
    STEP4: Depth.Step
    STEP5: Depth.Step
    PERCENT10: Depth.Step
    class Tick(_message.Message):
        __slots__ = ("price", "size")
        PRICE_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        price: str
        size: str
        def __init__(self, price: _Optional[str] = ..., size: _Optional[str] = ...) -> None: ...
    TS_FIELD_NUMBER: _ClassVar[int]
    BIDS_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ts: int
    bids: _containers.RepeatedCompositeFieldContainer[Depth.Tick]
    asks: _containers.RepeatedCompositeFieldContainer[Depth.Tick]
    delta: bool
    symbol: str
    def __init__(self, ts: _Optional[int] = ..., bids: _Optional[_Iterable[_Union[Depth.Tick, _Mapping]]] = ..., asks: _Optional[_Iterable[_Union[Depth.Tick, _Mapping]]] = ..., delta: _Optional[bool] = ..., symbol: _Optional[str] = ...) -> None: ...

class Trade(_message.Message):
    __slots__ = ("trade_id", "trade_time", "trade_price", "trade_volume", "side", "symbol")
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    TRADE_TIME_FIELD_NUMBER: _ClassVar[int]
    TRADE_PRICE_FIELD_NUMBER: _ClassVar[int]
    TRADE_VOLUME_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    trade_id: int
    trade_time: int
    trade_price: str
    trade_volume: str
    side: Side
    symbol: str
    def __init__(self, trade_id: _Optional[int] = ..., trade_time: _Optional[int] = ..., trade_price: _Optional[str] = ..., trade_volume: _Optional[str] = ..., side: _Optional[_Union[Side, str]] = ..., symbol: _Optional[str] = ...) -> None: ...

class ReqTrade(_message.Message):
    __slots__ = ("symbol", "trades")
    class Tick(_message.Message):
        __slots__ = ("trade_id", "trade_time", "trade_price", "trade_volume", "side")
        TRADE_ID_FIELD_NUMBER: _ClassVar[int]
        TRADE_TIME_FIELD_NUMBER: _ClassVar[int]
        TRADE_PRICE_FIELD_NUMBER: _ClassVar[int]
        TRADE_VOLUME_FIELD_NUMBER: _ClassVar[int]
        SIDE_FIELD_NUMBER: _ClassVar[int]
        trade_id: int
        trade_time: int
        trade_price: str
        trade_volume: str
        side: Side
        def __init__(self, trade_id: _Optional[int] = ..., trade_time: _Optional[int] = ..., trade_price: _Optional[str] = ..., trade_volume: _Optional[str] = ..., side: _Optional[_Union[Side, str]] = ...) -> None: ...
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    trades: _containers.RepeatedCompositeFieldContainer[ReqTrade.Tick]
    def __init__(self, symbol: _Optional[str] = ..., trades: _Optional[_Iterable[_Union[ReqTrade.Tick, _Mapping]]] = ...) -> None: ...

class MarketSummary(_message.Message):
    __slots__ = ("symbol", "open", "close", "low", "high", "turnover", "total_volume", "num_of_trades", "inst_status", "open_int")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    TURNOVER_FIELD_NUMBER: _ClassVar[int]
    TOTAL_VOLUME_FIELD_NUMBER: _ClassVar[int]
    NUM_OF_TRADES_FIELD_NUMBER: _ClassVar[int]
    INST_STATUS_FIELD_NUMBER: _ClassVar[int]
    OPEN_INT_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    open: str
    close: str
    low: str
    high: str
    turnover: str
    total_volume: str
    num_of_trades: int
    inst_status: str
    open_int: int
    def __init__(self, symbol: _Optional[str] = ..., open: _Optional[str] = ..., close: _Optional[str] = ..., low: _Optional[str] = ..., high: _Optional[str] = ..., turnover: _Optional[str] = ..., total_volume: _Optional[str] = ..., num_of_trades: _Optional[int] = ..., inst_status: _Optional[str] = ..., open_int: _Optional[int] = ...) -> None: ...

class Overview(_message.Message):
    __slots__ = ("ts", "tick")
    class Tick(_message.Message):
        __slots__ = ("symbol", "open", "close", "low", "high")
        SYMBOL_FIELD_NUMBER: _ClassVar[int]
        OPEN_FIELD_NUMBER: _ClassVar[int]
        CLOSE_FIELD_NUMBER: _ClassVar[int]
        LOW_FIELD_NUMBER: _ClassVar[int]
        HIGH_FIELD_NUMBER: _ClassVar[int]
        symbol: str
        open: str
        close: str
        low: str
        high: str
        def __init__(self, symbol: _Optional[str] = ..., open: _Optional[str] = ..., close: _Optional[str] = ..., low: _Optional[str] = ..., high: _Optional[str] = ...) -> None: ...
    TS_FIELD_NUMBER: _ClassVar[int]
    TICK_FIELD_NUMBER: _ClassVar[int]
    ts: int
    tick: _containers.RepeatedCompositeFieldContainer[Overview.Tick]
    def __init__(self, ts: _Optional[int] = ..., tick: _Optional[_Iterable[_Union[Overview.Tick, _Mapping]]] = ...) -> None: ...

class IndicativeFundingRate(_message.Message):
    __slots__ = ("symbol", "ts", "ind_fund_rate", "ind_fund_time")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    IND_FUND_RATE_FIELD_NUMBER: _ClassVar[int]
    IND_FUND_TIME_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    ts: int
    ind_fund_rate: str
    ind_fund_time: int
    def __init__(self, symbol: _Optional[str] = ..., ts: _Optional[int] = ..., ind_fund_rate: _Optional[str] = ..., ind_fund_time: _Optional[int] = ...) -> None: ...

class IndexConstituents(_message.Message):
    __slots__ = ("symbol", "ts", "index_price", "index_time", "constituents")
    class Data(_message.Message):
        __slots__ = ("constituent", "weight", "price")
        CONSTITUENT_FIELD_NUMBER: _ClassVar[int]
        WEIGHT_FIELD_NUMBER: _ClassVar[int]
        PRICE_FIELD_NUMBER: _ClassVar[int]
        constituent: str
        weight: str
        price: str
        def __init__(self, constituent: _Optional[str] = ..., weight: _Optional[str] = ..., price: _Optional[str] = ...) -> None: ...
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    INDEX_PRICE_FIELD_NUMBER: _ClassVar[int]
    INDEX_TIME_FIELD_NUMBER: _ClassVar[int]
    CONSTITUENTS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    ts: int
    index_price: str
    index_time: int
    constituents: _containers.RepeatedCompositeFieldContainer[IndexConstituents.Data]
    def __init__(self, symbol: _Optional[str] = ..., ts: _Optional[int] = ..., index_price: _Optional[str] = ..., index_time: _Optional[int] = ..., constituents: _Optional[_Iterable[_Union[IndexConstituents.Data, _Mapping]]] = ...) -> None: ...
