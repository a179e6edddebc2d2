"""The simulated edge's Network Analytics: sampled packets, answered by GraphQL and pushed to a bucket."""
