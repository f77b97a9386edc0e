-- One row for each prediction: a flight, two hours before it is due to leave, and what became of it (known only at arrived_at).
SELECT flight_id, carrier, origin, dest, tailnum, distance, scheduled_local, scheduled_at,
       scheduled_at - INTERVAL 2 HOUR AS predict_at, arr_delay, arrived_at
FROM flights_utc
