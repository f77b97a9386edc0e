-- An observation of an hour is out when the hour is over.
SELECT origin, time_hour AS observed_at, time_hour + INTERVAL 1 HOUR AS published_at,
       temp, humid, wind_speed, precip, visib, pressure
FROM weather
