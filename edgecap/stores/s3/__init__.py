"""Amazon S3, Cloudflare R2 and every server that speaks S3, through boto3."""
