output "shipper_function_arn" {
  description = "ARN of the shipper's alias, the destination of the subscription filters."
  value       = aws_cloudformation_stack.this.outputs["ShipperFunctionArn"]
}

output "bucket_name" {
  description = "Name of the bucket with undelivered log events."
  value       = aws_cloudformation_stack.this.outputs["BucketName"]
}
