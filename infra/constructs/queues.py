"""Queues: runs to execute, runs that crashed before, and watches over runs."""

from __future__ import annotations

from typing import cast

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.stages import Stage

VISIBILITY_FACTOR = 6
"""Visibility timeout over function timeout (AWS Lambda Developer Guide, "Using Lambda with Amazon SQS")."""

LONGEST_RETENTION = Duration.days(14)


class Queues(Construct):
    """All queues, encrypted and only over TLS.

    runs: new runs, taken in batches. retry: runs that crashed before, one at a time, so that poison hurts only itself.
    watch: delayed messages that repair whatever died. A watch is never sent again but reported as failed until it has
        nothing more to watch, so it has no redrive policy: a count of receives says nothing about it.
    dead_letters: of runs and retry; the watch function hands what arrives there to settle.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        """Timeouts follow those of the functions that read the queues."""
        super().__init__(scope, construct_id)
        runner_s = stage.functions["QueueRunner"].timeout_s
        watch_s = stage.functions["Watch"].timeout_s
        runs_dead = self._queue("RunsDeadLetters", reader_timeout_s=watch_s)
        retry_dead = self._queue("RetryDeadLetters", reader_timeout_s=watch_s)
        self.dead_letters = (runs_dead, retry_dead)
        self.runs = self._queue("Runs", reader_timeout_s=runner_s, dead_letters=runs_dead, stage=stage)
        self.retry = self._queue("Retry", reader_timeout_s=runner_s, dead_letters=retry_dead, stage=stage)
        self.watch = self._queue("Watch", reader_timeout_s=watch_s)

    def schedule_sweep(self, *, every_min: int) -> None:
        """Have what grows without end swept: by a message of the watch queue, which comes back until it is done."""
        every = Duration.minutes(every_min)
        # As shared.aws.queue.SweepMessage reads it.
        message = events.RuleTargetInput.from_object({"sweep_again_in_s": every.to_seconds()})
        target = cast("events.IRuleTarget", targets.SqsQueue(self.watch, message=message))
        events.Rule(self, "Sweep", schedule=events.Schedule.rate(every), targets=[target])

    def _queue(
        self,
        construct_id: str,
        *,
        reader_timeout_s: int,
        dead_letters: sqs.Queue | None = None,
        stage: Stage | None = None,
    ) -> sqs.Queue:
        redrive = None
        if dead_letters is not None and stage is not None:
            redrive = sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=stage.max_receives)
        return sqs.Queue(
            self,
            construct_id,
            visibility_timeout=Duration.seconds(VISIBILITY_FACTOR * reader_timeout_s),
            retention_period=LONGEST_RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=redrive,
            removal_policy=RemovalPolicy.DESTROY,
        )
