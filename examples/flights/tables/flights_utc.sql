-- Each flight once, with its times as moments (UTC). The timetable is in New York's local time, with summer time from March to
-- November; a departure is the timetable's moment and its delay, so that flights past midnight and past a change of the clock
-- come out right.
WITH flown AS (
  SELECT DISTINCT year, month, day, hour, minute, carrier, flight, tailnum, origin, dest, distance, dep_delay, arr_delay, air_time
  FROM flights
),
scheduled AS (
  SELECT *, make_timestamp(year, month, day, hour, minute, 0.0) AS scheduled_local
  FROM flown
),
moments AS (
  SELECT *, timezone('UTC', timezone('America/New_York', scheduled_local)) AS scheduled_at
  FROM scheduled
)
SELECT printf('%d-%02d-%02d-%s-%d-%s-%02d%02d', year, month, day, carrier, flight, origin, hour, minute) AS flight_id,
       carrier, flight, tailnum, origin, dest, distance, scheduled_local, scheduled_at, dep_delay, arr_delay,
       scheduled_at + to_minutes(dep_delay) AS departed_at,
       -- Taxiing is not in the data: half an hour for both ends.
       scheduled_at + to_minutes(dep_delay + air_time + 30) AS arrived_at
FROM moments
