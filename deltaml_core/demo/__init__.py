"""The paper's training request from posting to payout, on a local chain: what `deltaml demo` runs and shows."""
