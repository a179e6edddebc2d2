"""One parser for each product that sends alerts, and what they share."""
