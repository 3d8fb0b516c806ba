"""AWS Lambda on local processes: execution environments, SQS event sources, CloudFormation custom resources."""
