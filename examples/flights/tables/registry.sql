-- The register as it stood before the year began.
SELECT tailnum, year, manufacturer, model, seats, engines, TIMESTAMP '2012-12-31 00:00:00' AS registered_at
FROM planes
