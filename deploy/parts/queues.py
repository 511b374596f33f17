"""Each queue with its dead-letter queue."""

from parts.vocabulary import Json, att, https_only, queue_arn, queue_name, ref, resource, sub, words

from infra.bus.routing import MAX_RECEIVES
from infra.settings import QUEUES

SLOW = frozenset({"campaigns", "imports"})


def queues() -> Json:
    made: Json = {}
    for queue in QUEUES:
        own = {"Condition": "MakesMessagesQueue"} if queue == "messages" else {}
        name = words(queue)
        keep = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
        made[f"{name}DeadLetters"] = resource(
            "SQS::Queue",
            {
                "QueueName": sub(queue_name(queue) + "-dlq"),
                "MessageRetentionPeriod": 14 * 86_400,
                "SqsManagedSseEnabled": True,
            },
            **own,
            **keep,
        )
        made[f"{name}Queue"] = resource(
            "SQS::Queue",
            {
                "QueueName": sub(queue_name(queue)),
                "VisibilityTimeout": 300 if queue in SLOW else 120,
                "ReceiveMessageWaitTimeSeconds": 10,
                "MessageRetentionPeriod": 4 * 86_400,
                "SqsManagedSseEnabled": True,
                "RedrivePolicy": {
                    "deadLetterTargetArn": att(f"{name}DeadLetters", "Arn"),
                    "maxReceiveCount": MAX_RECEIVES,
                },
            },
            **own,
            **keep,
        )
        made[f"{name}QueuePolicy"] = resource(
            "SQS::QueuePolicy",
            {
                "Queues": [ref(f"{name}Queue"), ref(f"{name}DeadLetters")],
                "PolicyDocument": https_only(
                    "sqs:*", [queue_arn(queue), queue_arn(queue, dead=True)]
                ),
            },
            **own,
        )
    return made
