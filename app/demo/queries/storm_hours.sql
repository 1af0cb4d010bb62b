-- The twenty windiest hours at each airport, and how the air pressure moved in the hour before.
CREATE OR REPLACE TABLE storm_hours USING parquet AS
WITH hours AS (
  SELECT
    origin,
    time_hour,
    wind_speed,
    precip,
    pressure - lag(pressure) OVER (PARTITION BY origin ORDER BY time_hour) AS pressure_change,
    rank() OVER (PARTITION BY origin ORDER BY wind_speed DESC NULLS LAST, time_hour) AS windiest
  FROM weather
  WHERE wind_speed < 200 -- one reading says 1048 miles an hour
)
SELECT origin, time_hour, wind_speed, precip, pressure_change, windiest
FROM hours
WHERE windiest <= 20;

SELECT origin, windiest, time_hour, round(wind_speed, 1) AS wind_speed, precip, round(pressure_change, 1) AS pressure_change
FROM storm_hours
ORDER BY origin, windiest;
