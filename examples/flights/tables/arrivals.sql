-- What was known when a flight had landed at its destination.
SELECT flight_id, carrier, origin, dest, tailnum, arrived_at, arr_delay
FROM flights_utc
WHERE arrived_at IS NOT NULL AND arr_delay IS NOT NULL
