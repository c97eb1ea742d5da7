"""A market to play scenarios in: a deployed contract, wallets with roles, and the balance equation after every transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nodes import DevNode
from web3 import Web3

from deltaml_core.chain import Marketplace, Receipt, Request, Role, Statement, Status, Terms, Wallet, to_units

ETHER = 10**18
HOUR = 3600


class CheckedMarketplace(Marketplace):
    """A marketplace that checks invariant 1 after each of its transactions: balance == locked escrows + credits."""

    def __init__(self, web3: Web3, address: str) -> None:
        super().__init__(web3, address)
        self.accounts: set[str] = set()
        self.ended: set[int] = set()
        self.transactions_checked = 0

    def _write(self, wallet: Wallet, name: str, *arguments: Any, value_wei: int = 0) -> Receipt:
        self.accounts.add(wallet.address)
        receipt = super()._write(wallet, name, *arguments, value_wei=value_wei)
        self.check_balance_equation()
        self.transactions_checked += 1
        return receipt

    def check_balance_equation(self) -> None:
        running = [self.request(request_id) for request_id in self.requests() if request_id not in self.ended]
        self.ended |= {request.id for request in running if request.status >= Status.SETTLED}
        locked_wei = sum(request.locked_wei for request in running)
        credits_wei = sum(self.credit_wei(account) for account in self.accounts)
        assert self.balance_wei() == locked_wei + credits_wei


@dataclass
class Market:
    """One deployed contract with a buyer, an aggregator and owners, all registered and funded."""

    node: DevNode
    web3: Web3
    contract: CheckedMarketplace
    buyer: Wallet
    aggregator: Wallet
    owners: list[Wallet]
    stranger: Wallet
    modulus_hash: bytes = bytes(Web3.keccak(text="modulus"))
    by_address: dict[str, Wallet] = field(default_factory=dict)

    @classmethod
    def open(cls, node: DevNode, owners: int = 5) -> Market:
        web3 = Web3(Web3.HTTPProvider(node.url))
        buyer, aggregator, stranger, *owner_wallets = (Wallet.create() for _ in range(3 + owners))
        wallets = [buyer, aggregator, stranger, *owner_wallets]
        for wallet in wallets:
            node.fund(wallet.address, 100 * ETHER)
        contract = CheckedMarketplace(web3, Marketplace.deploy(web3, stranger).address)
        contract.register(buyer, Role.MODEL_BUYER, "buyer")
        contract.register(aggregator, Role.FEDERATED_AGGREGATOR)
        for owner in owner_wallets:
            contract.register(owner, Role.DATA_OWNER)
        market = cls(node, web3, contract, buyer, aggregator, owner_wallets, stranger)
        market.by_address = {wallet.address: wallet for wallet in wallets}
        return market

    def terms(self, **changes: Any) -> Terms:
        now = self.contract.now()
        values: dict[str, Any] = {
            "aggregator": self.aggregator.address,
            "min_owners": 3,
            "max_owners": 3,
            "acceptance_deadline": now + HOUR,
            "training_deadline": now + 2 * HOUR,
            "modulus_hash": self.modulus_hash,
            "initial_model_hash": bytes(Web3.keccak(text="initial weights")),
            "validators": (self.owners[0].address,),
        }
        return Terms(**{**values, **changes})

    def create(self, escrow_wei: int = 5 * ETHER, **changes: Any) -> int:
        return self.contract.create_request(self.buyer, self.terms(**changes), '{"columns": ["age"]}', escrow_wei)

    def accept_by(self, request_id: int, owners: list[Wallet]) -> None:
        for owner in owners:
            self.contract.accept(owner, request_id, bytes(Web3.keccak(text=f"data set of {owner.address}")))

    def in_training(self, escrow_wei: int = 5 * ETHER, owners: int = 3, **changes: Any) -> Request:
        """A request in training: owner 0 is the named validator, the others train."""
        request_id = self.create(escrow_wei, min_owners=owners, max_owners=owners, **changes)
        self.contract.take_on(self.aggregator, request_id)
        self.accept_by(request_id, self.owners[:owners])
        self.contract.close(self.stranger, request_id)
        self.contract.start(self.stranger, request_id)
        return self.contract.request(request_id)

    def statement(self, request: Request, **changes: Any) -> Statement:
        values: dict[str, Any] = {
            "request": request.id,
            "round": 100,
            "modulus_hash": request.terms.modulus_hash,
            "weights_hash": bytes(Web3.keccak(text="final weights")),
            "metric_hash": bytes(Web3.keccak(text="metric")),
            "scale": 64,
            "rows": 50,
            "initial_mse": to_units(1000),
            "final_mse": to_units(500),
            "gains": (to_units(1),) * len(request.trainers),
            "transcript_hash": bytes(Web3.keccak(text="transcript")),
        }
        return Statement(**{**values, **changes})

    def signatures(self, request: Request, statement: Statement) -> dict[str, bytes]:
        signers = (self.by_address[address] for address in request.validators)
        return {signer.address: signer.sign_statement(statement, self.contract.chain_id, self.contract.address) for signer in signers}

    def submitted(self, request: Request, **changes: Any) -> Statement:
        statement = self.statement(request, **changes)
        self.contract.submit_result(self.aggregator, request.id, statement, self.signatures(request, statement))
        return statement
