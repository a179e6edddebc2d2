"""From packets to a verdict, in three steps that only pass data on.

1. `gather` counts evidence in the one pass over the packets: `Evidence`, what goes to whom and from whom.
2. `conditions` says how the packets came: sampled, filtered, cut, one direction or both.
3. `judge` is a pure function of evidence, conditions and baseline: it finds the `Vector`s of an attack. Each
   rule collects signs, each sign is a number and a line that tells it. Without enough signs there is nothing.
"""
