"""What decision logs tell: reports, replays of a policy, drift, prices."""
