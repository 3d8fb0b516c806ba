"""DynamoDB and its streams on moto, made safe for concurrent requests and closer to AWS."""
