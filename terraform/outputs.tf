output "shipper_function_arn" {
  description = "The function's alias, which is the destination of subscription filters."
  value       = aws_cloudformation_stack.this.outputs["ShipperFunctionArn"]
}

output "bucket_name" {
  description = "Where that is kept which could not be delivered."
  value       = aws_cloudformation_stack.this.outputs["BucketName"]
}
