"""The second privacy mode, `privacy="updates"`: any model, visible to its trainers, whose updates nobody sees alone.

Federated averaging (McMahan et al., AISTATS 2017) with the updates added under the buyer's Paillier key. Per round:

    buyer       -> owners       GlobalModel        the parameters, in the clear
    trainer     -> aggregator   EncryptedUpdate    what local training changed, clipped, in fixed point, packed, encrypted
    validator   -> aggregator   EncryptedMetric    its metric times its rows, encrypted
    aggregator  -> buyer        RoundSums          the product of the ciphertexts, each to the power of its weight
    buyer                                          opens the sums, applies the mean, publishes the next model

| | sees | does not see |
|---|---|---|
| Model Buyer | every round's model, so the mean update; the pooled metric; who answered; rows | a single update or metric |
| trainer, validator | every round's model (the final one: validators only), so the mean update; rows | single updates, the metric |
| Aggregator | who answered; rows; ciphertexts; the models too where its relay carries the messages | updates, metrics |

Rows are everybody's counts, which owners state when they accept.

What this does not hide, and `privacy="model"` does: the model, from every owner, before anybody has paid; the mean update, from buyer
and owners, round by round (gradients can be inverted: the fewer rows and trainers, the more of them shows); anything at all from buyer
and aggregator together; one trainer's update from all others of its round together, so with two trainers either knows the other's.
With one validator the pooled metric is that validator's. An owner's update and metric are taken on trust: a malicious trainer can
spoil the model within the clipping norm, and the sum alone tells nobody who it was.
docs/updates.md says the same to users.
"""

from deltaml_core.updates.local_model import LocalModel
from deltaml_core.updates.partial_fit import PartialFitModel
from deltaml_core.updates.run import UpdateSession, UpdatesResult, train_updates
from deltaml_core.updates.terms import UpdateTerms
from deltaml_core.updates.torch_model import TorchModel

__all__ = ["LocalModel", "PartialFitModel", "TorchModel", "UpdateSession", "UpdateTerms", "UpdatesResult", "train_updates"]
