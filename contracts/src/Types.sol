// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @notice What an account offers itself as. A role lists its holder and lets it act for itself; it gives no power
/// over anybody else's request.
enum Role {
    DataOwner,
    FederatedAggregator,
    ModelBuyer
}

/// @notice Where a request stands. A status never goes back to one further left, and the last three are final.
enum Status {
    None,
    Open,
    Closed,
    Training,
    Submitted,
    Settled,
    Cancelled,
    Failed
}

/// @notice How the final error is backed.
/// `Noise`: by the validators' signatures alone. `Verifiable`: the opening of the metric's ciphertext is checked when
/// the result is submitted. `VerifiableDeferred`: the opening is stored as a hash and its exponentiation is checked only
/// if somebody refutes it, for chains where one transaction cannot pay for it.
enum MetricsKind {
    Noise,
    Verifiable,
    VerifiableDeferred
}

/// @notice What an account has answered to a request.
enum Answer {
    None,
    NamedValidator,
    Accepted,
    Declined
}

/// @notice Why a request failed.
enum FailureReason {
    QuorumMissed,
    DeadlinePassed,
    OtherStatementSigned,
    OpeningRefuted
}

/// @notice What a buyer asks for; fixed when the request is created.
struct Terms {
    // The only account that may write metrics and the result.
    address aggregator;
    // ASCII name, for example "linear"; the contract only keeps it.
    bytes32 modelKind;
    MetricsKind metricsKind;
    // Fewest and most data owners, validators included; 2 <= minOwners <= maxOwners <= 64.
    uint8 minOwners;
    uint8 maxOwners;
    // How the escrow is shared after minimum rewards, in basis points; they sum to 10000.
    uint16 trainersBps;
    uint16 validatorsBps;
    uint16 aggregatorBps;
    // Unix times in seconds; acceptances end at the first, training at the second.
    uint64 acceptanceDeadline;
    uint64 trainingDeadline;
    // Seconds during which a submitted result can be refuted.
    uint32 challengeWindow;
    // Wei that every owner with a role receives whatever happens after roles were dealt.
    uint128 minimumRewardWei;
    // keccak256 of the modulus n as big-endian bytes, exactly as many as n needs.
    bytes32 modulusHash;
    // keccak256 of the proof that n is a proper modulus; zero is allowed for `Noise` only.
    bytes32 keyProofHash;
    // Hash of the encrypted initial weights.
    bytes32 initialModelHash;
    // Validators named in advance; empty: roles are dealt from a block hash.
    address[] validators;
}

/// @notice What the validators sign (EIP-712; chain and contract are in the domain).
/// Errors and gains have 18 decimals. Gains follow the order of the request's list of trainers.
struct Statement {
    uint256 request;
    uint64 round;
    bytes32 modulusHash;
    bytes32 weightsHash;
    bytes32 metricHash;
    // The opened integer is the sum of squared errors times 2**scale.
    uint32 scale;
    // Rows the sum of squared errors was taken over.
    uint64 rows;
    uint256 initialMse;
    uint256 finalMse;
    int256[] gains;
    bytes32 transcriptHash;
}

/// @notice An opened Paillier ciphertext, `c = (1 + n m) r**n mod n**2`; all numbers big-endian.
/// With n of L bytes: plaintext m and randomness r have L bytes, the ciphertext c has 2 L.
struct Opening {
    bytes modulus;
    bytes ciphertext;
    bytes plaintext;
    bytes randomness;
}

/// @notice A request as stored.
struct Request {
    // One slot: all that recording a metric has to read.
    address aggregator;
    Status status;
    MetricsKind metricsKind;
    bool takenOn;
    bool rolesDealt;
    uint64 trainingDeadline;
    // One slot.
    address buyer;
    uint64 acceptanceDeadline;
    uint32 challengeWindow;
    // One slot.
    uint128 escrowWei;
    uint128 minimumRewardWei;
    // One slot. Bit i of validatorBits is set when owners[i] validates; final once rolesDealt.
    uint64 validatorBits;
    uint64 dealBlock;
    uint64 challengeEnd;
    uint16 trainersBps;
    uint16 validatorsBps;
    uint16 aggregatorBps;
    uint8 minOwners;
    uint8 maxOwners;
    bytes32 modelKind;
    bytes32 requirementsHash;
    bytes32 modulusHash;
    bytes32 keyProofHash;
    bytes32 initialModelHash;
    address[] namedValidators;
    address[] owners;
    mapping(address account => Answer answer) answers;
    // Written once, by the submitted result.
    bytes32 statementDigest;
    bytes32 openingHash;
    uint256 initialMse;
    uint256 finalMse;
    int256[] gains;
}

/// @notice A request as read from outside. Errors and gains have 18 decimals and are zero or empty before a result.
struct RequestView {
    Status status;
    address buyer;
    // Wei the request was created with; `lockedWei` of it is still held for the request.
    uint256 escrowWei;
    uint256 lockedWei;
    Terms terms;
    bytes32 requirementsHash;
    bool takenOn;
    // In the order of acceptance; trainers and validators are empty until roles are dealt.
    address[] owners;
    address[] trainers;
    address[] validators;
    // Roles come from this block's hash; zero while none is fixed or when validators are named.
    uint64 dealBlock;
    // Unix time in seconds from which the result can be finalized; zero before a result.
    uint64 challengeEnd;
    bytes32 statementDigest;
    uint256 initialMse;
    uint256 finalMse;
    int256[] gains;
}
