-- What was known when a flight had left. Cancelled flights never leave.
SELECT flight_id, carrier, origin, dest, tailnum, scheduled_at, departed_at, dep_delay
FROM flights_utc
WHERE departed_at IS NOT NULL
