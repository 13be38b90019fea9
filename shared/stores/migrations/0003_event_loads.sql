-- When an event was loaded, for the timeline of a booking; unknown for those that were loaded before.

ALTER TABLE fact_booking_event ADD COLUMN loaded_at timestamptz;
ALTER TABLE fact_booking_event ALTER COLUMN loaded_at SET DEFAULT now();
