"""The Lambda functions: ``api``, ``runner`` and ``summarizer``, one bundle each."""
