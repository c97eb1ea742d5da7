"""The demo's last step: the run's transcript is kept, full and public, and both are audited against what the contract did."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from deltaml_core.audit import AuditReport, audit_file
from deltaml_core.demo.result import MarketResult
from deltaml_core.errors import TranscriptError

FULL, PUBLIC = "transcript.jsonl", "transcript.public.jsonl"


@dataclass(frozen=True)
class Audited:
    """The kept transcripts and what their audits found.

    Attributes:
        path: the full record, which stays with the aggregator.
        public_path: the part for everybody.
        full: the audit of the first.
        public: of the second.
    """

    path: Path
    public_path: Path
    full: AuditReport
    public: AuditReport

    @property
    def verdict(self) -> str:
        """`ok`, or the first of the two verdicts that is not."""
        return next((report.verdict for report in (self.full, self.public) if not report.ok), "ok")


def prepare(folder: Path) -> None:
    """Make sure that transcripts can be kept here, before a run whose record would be lost.

    Raises:
        TranscriptError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unusable(folder, error) from error


def keep_and_audit(result: MarketResult, folder: Path) -> Audited:
    """Write both transcripts into a folder that `prepare` has found fit, then audit the files.

    Raises:
        TranscriptError: the folder cannot be written to.
    """
    path, public_path = folder / FULL, folder / PUBLIC
    try:
        result.transcript.save(path)
        result.transcript.public().save(public_path)
    except OSError as error:
        raise _unusable(folder, error) from error
    terms = result.request.terms
    shares_bps = (terms.trainers_bps, terms.validators_bps, terms.aggregator_bps)
    full, public = (
        audit_file(file, statement=result.statement, payouts=result.payouts, minimum_wei=terms.minimum_reward_wei, shares_bps=shares_bps)
        for file in (path, public_path)
    )
    return Audited(path, public_path, full, public)


def _unusable(folder: Path, error: OSError) -> TranscriptError:
    return TranscriptError(f"the transcript cannot be kept in {folder}: {error.strerror}; choose another folder with --transcript")
