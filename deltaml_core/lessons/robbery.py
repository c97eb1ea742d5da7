"""Chapter 7: robbing the money rules of 2019, and the same attempts against the marketplace, by real transactions.

`contracts/teaching/Rules2019.sol` is deployed on the lesson's own Ganache and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import ipywidgets as widgets
from web3 import Web3

from deltaml_core.chain.connection import connect
from deltaml_core.chain.ganache import GanacheProcess
from deltaml_core.chain.marketplace import ARTIFACT, Marketplace, transact
from deltaml_core.chain.types import Role, Statement, Terms, to_units
from deltaml_core.chain.wallet import Wallet
from deltaml_core.demo.market import ETHER
from deltaml_core.errors import ChainError, ContractError
from deltaml_core.lessons.sheet import Sheet, fill, note, note_widget
from deltaml_core.views.formats import ether
from deltaml_core.views.table import Cell, Table

VICTIMS_WEI = 10 * ETHER
_FUNDS_WEI = 3 * VICTIMS_WEI
_HOUR = 3600
_NONE, _OWNER, _AGGREGATOR, _BUYER = range(4)
"""The roles of 2019, as Rules2019.sol numbers them."""


@dataclass(frozen=True)
class Attempt:
    """One transaction of a robbery.

    Attributes:
        call: what was tried.
        answer: what came of it.
        passed: whether the contract did it.
    """

    call: str
    answer: str
    passed: bool


@dataclass(frozen=True)
class Robbery:
    """What became of a victim's ten ether.

    Attributes:
        attempts: in order.
        left_wei: what the contract still holds of the victim's, or owes to those it is owed to.
        stolen_wei: what left it wrongly.
    """

    attempts: tuple[Attempt, ...]
    left_wei: int
    stolen_wei: int


class Scene:
    """A chain with a victim that has locked ten ether, its aggregator and owners, and a thief."""

    def __init__(self, ganache: GanacheProcess) -> None:
        """Everybody gets a new wallet with ether for gas."""
        self._web3 = connect(ganache.url)
        self.victim, self.thief, self.aggregator, self.trainer, self.validator = (Wallet.create() for _ in range(5))
        for wallet in (self.victim, self.thief, self.aggregator, self.trainer, self.validator):
            ganache.fund(wallet.address, _FUNDS_WEI)

    def old(self) -> OldRules:
        """The rules of 2019 with the victim's order, not trained yet."""
        return OldRules(self._web3, self.victim, self.trainer)

    def new(self) -> Marketplace:
        """A marketplace with the victim's request in training."""
        market = Marketplace.deploy(self._web3, self.victim)
        market.register(self.victim, Role.MODEL_BUYER)
        market.register(self.aggregator, Role.FEDERATED_AGGREGATOR)
        for owner in (self.validator, self.trainer):
            market.register(owner, Role.DATA_OWNER)
        now = market.now()
        terms = Terms(
            aggregator=self.aggregator.address,
            min_owners=2,
            max_owners=2,
            acceptance_deadline=now + _HOUR,
            training_deadline=now + 2 * _HOUR,
            modulus_hash=bytes(Web3.keccak(text="modulus")),
            initial_model_hash=bytes(Web3.keccak(text="zeros")),
            validators=(self.validator.address,),
        )
        request = market.create_request(self.victim, terms, "{}", VICTIMS_WEI)
        market.take_on(self.aggregator, request)
        for owner in (self.validator, self.trainer):
            market.accept(owner, request, bytes(Web3.keccak(text=owner.address)))
        market.close(self.victim, request)
        market.start(self.victim, request)
        return market

    def statement(self, market: Marketplace) -> Statement:
        """An honest result: the error is halved."""
        terms = market.request(1).terms
        some = bytes(Web3.keccak(text="some"))
        return Statement(
            request=1,
            round=100,
            modulus_hash=terms.modulus_hash,
            weights_hash=some,
            metric_hash=some,
            scale=64,
            rows=50,
            initial_mse=to_units(1000),
            final_mse=to_units(500),
            gains=(to_units(1),),
            transcript_hash=some,
        )

    def submit(self, market: Marketplace) -> None:
        """The aggregator submits what the validator signed."""
        statement = self.statement(market)
        signed = self.validator.sign_statement(statement, market.chain_id, market.address)
        market.submit_result(self.aggregator, 1, statement, {self.validator.address: signed})


class OldRules:
    """The teaching contract, with an order of the victim's."""

    def __init__(self, web3: Web3, victim: Wallet, trainer: Wallet) -> None:
        """Deploy it and post the order."""
        self._web3, self._abi = web3, _rules()["abi"]
        factory = web3.eth.contract(abi=self._abi, bytecode=_rules()["bytecode"])
        address = transact(web3, victim, factory.constructor(), self._abi)["contractAddress"]
        if address is None:
            raise ChainError("the node mined the deployment without a contract address")
        self._address = address
        self.call(victim, "setRole", _BUYER)
        self.call(victim, "create", [trainer.address], 1000, value_wei=VICTIMS_WEI)

    def call(self, wallet: Wallet, name: str, *arguments: Any, value_wei: int = 0) -> None:
        """Send a transaction.

        Raises:
            ContractError: it was refused.
        """
        function = self._web3.eth.contract(address=self._address, abi=self._abi).functions[name](*arguments)
        transact(self._web3, wallet, function, self._abi, value_wei)

    def balance_wei(self) -> int:
        """What it holds."""
        return int(self._web3.eth.get_balance(self._address))


# --- the robberies: each against both contracts ------------------------------------------------------------------


def _refund_of_everything(scene: Scene) -> tuple[Robbery, Robbery]:
    old, thief = scene.old(), scene.thief
    tried = [
        _try("call myself a buyer", lambda: old.call(thief, "setRole", _BUYER)),
        _try("finish the victim's order", lambda: old.call(thief, "finish", 0)),
        _try("ask for the refund", lambda: old.call(thief, "refund", 0)),
    ]
    new = scene.new()
    scene.submit(new)
    tries = [
        _try("register as a buyer", lambda: new.register(thief, Role.MODEL_BUYER)),
        _try("confirm the victim's request", lambda: new.confirm(thief, 1)),
        _try("finalize it at once", lambda: new.finalize(thief, 1)),
        _try("withdraw", lambda: new.withdraw(thief)),
    ]
    return _robbed(old, tried), Robbery(tuple(tries), new.balance_wei(), VICTIMS_WEI - new.balance_wei())


def _claim_again(scene: Scene) -> tuple[Robbery, Robbery]:
    old, trainer = scene.old(), scene.trainer
    old.call(scene.aggregator, "setRole", _AGGREGATOR)
    old.call(scene.aggregator, "saveResult", 0, 500, [100])
    old.call(scene.victim, "finish", 0)
    old.call(trainer, "setRole", _OWNER)
    tried = [_try(f"claim my pay, time {time}", lambda: old.call(trainer, "claim", 0, 0)) for time in (1, 2)]
    earned_wei = VICTIMS_WEI * 70 // 100 // 2
    new = scene.new()
    scene.submit(new)
    new.confirm(scene.victim, 1)
    new.finalize(scene.victim, 1)
    tries = [_try(f"withdraw my pay, time {time}", lambda: new.withdraw(trainer)) for time in (1, 2)]
    robbed = _robbed(old, tried)
    ours_wei = VICTIMS_WEI - new.balance_wei() - earned_wei
    return Robbery(robbed.attempts, robbed.left_wei, robbed.stolen_wei - earned_wei), Robbery(tuple(tries), new.balance_wei(), ours_wei)


def _write_the_result(scene: Scene) -> tuple[Robbery, Robbery]:
    old, thief, trainer = scene.old(), scene.thief, scene.trainer
    old.call(trainer, "setRole", _OWNER)
    tried = [
        _try("call myself an aggregator", lambda: old.call(thief, "setRole", _AGGREGATOR)),
        _try("write an error of 0 for the victim's order", lambda: old.call(thief, "saveResult", 0, 0, [100])),
        _try("call myself a buyer", lambda: old.call(thief, "setRole", _BUYER)),
        _try("finish it", lambda: old.call(thief, "finish", 0)),
        _try("have an accomplice among the owners paid", lambda: old.call(trainer, "claim", 0, 0)),
    ]
    new = scene.new()
    statement = scene.statement(new)
    forged: dict[str, bytes] = {scene.validator.address: thief.sign_statement(statement, new.chain_id, new.address)}
    tries = [
        _try("register as an aggregator", lambda: new.register(thief, Role.FEDERATED_AGGREGATOR)),
        _try("record an error", lambda: new.record_metric(thief, 1, 1, 0)),
        _try("submit a result", lambda: new.submit_result(thief, 1, statement, forged)),
        _try("have the accomplice withdraw", lambda: new.withdraw(trainer)),
    ]
    return _robbed(old, tried), Robbery(tuple(tries), new.balance_wei(), VICTIMS_WEI - new.balance_wei())


ROBBERIES: dict[str, Callable[[Scene], tuple[Robbery, Robbery]]] = {
    "take another buyer's escrow as my refund": _refund_of_everything,
    "claim the same pay twice": _claim_again,
    "write the result myself": _write_the_result,
}
"""What is tried; each gives what became of it under the rules of 2019, and under ours."""


class RobberyDesk(Sheet):
    """A robbery to choose, a button, and what both contracts said to it."""

    def __init__(self, ganache: GanacheProcess) -> None:
        """`ganache`: the lesson's own chain."""
        self._ganache = ganache
        self.plan = widgets.Dropdown(options=list(ROBBERIES), description="The plan:")
        self.button = widgets.Button(description="Rob both contracts")
        self.button.add_class("t-rob")
        self.button.on_click(lambda _: self.rob())
        self.verdict = note_widget()
        self.table = Table("Transaction by transaction", ["contract", "what is tried", "answer"], css="t-robbery")
        super().__init__([widgets.HBox([self.plan, self.button]), self.verdict, self.table])
        self.rob()

    def rob(self) -> tuple[Robbery, Robbery]:
        """Try the chosen robbery on both."""
        self.button.disabled = True
        try:
            old, new = ROBBERIES[self.plan.value](Scene(self._ganache))
        finally:
            self.button.disabled = False
        rows = [
            (contract, attempt.call, Cell(attempt.answer, tone="busy" if attempt.passed else "good", sign="!" if attempt.passed else "✓"))
            for contract, robbery in (("rules of 2019", old), ("marketplace", new))
            for attempt in robbery.attempts
        ]
        fill(self.table, rows)
        said = f"Of {ether(VICTIMS_WEI)}, the rules of 2019 lost {ether(old.stolen_wei)} and the marketplace {ether(new.stolen_wei)}."
        self.verdict.value = note(said, "good" if new.stolen_wei == 0 else "bad")
        return old, new


def _try(call: str, send: Callable[[], object]) -> Attempt:
    try:
        send()
    except ContractError as refusal:
        return Attempt(call, f"refused: {refusal.name}", passed=False)
    return Attempt(call, "done", passed=True)


def _robbed(old: OldRules, tried: list[Attempt]) -> Robbery:
    return Robbery(tuple(tried), old.balance_wei(), VICTIMS_WEI - old.balance_wei())


@cache
def _rules() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(ARTIFACT.with_name("Rules2019.json").read_text(encoding="utf-8"))
    return loaded
