"""Alerts: what each product sends, as one kind of `Alert`; and the policy that says what to capture."""
