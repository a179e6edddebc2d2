"""Incidents: what becomes of alerts, from their arrival to the packets that were kept."""
