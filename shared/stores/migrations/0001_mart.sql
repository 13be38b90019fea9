-- The analytics mart: facts of bookings and their bed-nights, and the dimensions they are cut by.
--
-- Keys are the operational ids themselves, not surrogates, so that the same events give the same rows in whatever order they
-- arrive. Facts have no foreign keys: a load fills its dimensions in the same transaction, and checking every row again would
-- double the cost of a load. Amounts are minor units of `currency`. No row names or describes a guest.

CREATE TABLE dim_date (
    date        date PRIMARY KEY,
    year        smallint NOT NULL GENERATED ALWAYS AS (extract(year FROM date)) STORED,
    quarter     smallint NOT NULL GENERATED ALWAYS AS (extract(quarter FROM date)) STORED,
    month       smallint NOT NULL GENERATED ALWAYS AS (extract(month FROM date)) STORED,
    day         smallint NOT NULL GENERATED ALWAYS AS (extract(day FROM date)) STORED,
    iso_year    smallint NOT NULL GENERATED ALWAYS AS (extract(isoyear FROM date)) STORED,
    iso_week    smallint NOT NULL GENERATED ALWAYS AS (extract(week FROM date)) STORED,
    -- 1 is Monday.
    iso_weekday smallint NOT NULL GENERATED ALWAYS AS (extract(isodow FROM date)) STORED,
    -- The nights that begin on Friday and Saturday.
    is_weekend  boolean NOT NULL GENERATED ALWAYS AS (extract(isodow FROM date) IN (5, 6)) STORED
);
COMMENT ON TABLE dim_date IS 'Calendar. Without gaps from 2015 to 2049, so that a night without sales is a row too; loads add what lies outside.';
INSERT INTO dim_date (date) SELECT generate_series(date '2015-01-01', date '2049-12-31', interval '1 day')::date;

CREATE TABLE dim_property (
    property_id text PRIMARY KEY,
    -- Absent until the property was described; facts never wait for that.
    name        text,
    time_zone   text,
    currency    text
);

CREATE TABLE dim_room_type (
    property_id  text NOT NULL,
    room_type_id text NOT NULL,
    name         text,
    -- private | dorm
    kind         text,
    -- mixed | female | male
    gender       text,
    -- Beds of all rooms that are sold as this type.
    beds         bigint,
    PRIMARY KEY (property_id, room_type_id)
);

CREATE TABLE dim_channel (
    channel text PRIMARY KEY
);
INSERT INTO dim_channel (channel) VALUES ('direct'), ('booking_com'), ('airbnb'), ('hostelworld'), ('phone'), ('walk_in'), ('api');

CREATE TABLE fact_booking (
    booking_id   uuid PRIMARY KEY,
    -- The newest revision that was loaded; an older one never overwrites it.
    rev          bigint NOT NULL,
    -- confirmed | rejected | cancelled
    status       text NOT NULL,
    -- Why it was refused, for rejected ones.
    rejection    text,
    property_id  text NOT NULL,
    rate_plan_id text NOT NULL,
    channel      text NOT NULL,
    -- First night and morning of departure over all stays; absent for a booking without stays.
    arrival      date,
    departure    date,
    stays        bigint NOT NULL,
    guests       bigint NOT NULL,
    -- Beds × nights of all stays, also of a cancelled booking; what is sold now is in fact_bed_night.
    bed_nights   bigint NOT NULL,
    -- Absent when it was refused before it could be priced. total = room + tax.
    currency     text,
    room_amount  bigint,
    tax_amount   bigint,
    total_amount bigint,
    -- When intake accepted it.
    created_at   timestamptz NOT NULL,
    -- When this revision was decided.
    decided_at   timestamptz NOT NULL
);
COMMENT ON TABLE fact_booking IS 'One row a booking: its newest revision.';

CREATE TABLE fact_bed_night (
    booking_id   uuid NOT NULL,
    night        date NOT NULL,
    bed_id       text NOT NULL,
    -- Position of the stay in its booking.
    stay         bigint NOT NULL,
    property_id  text NOT NULL,
    room_type_id text NOT NULL,
    channel      text NOT NULL,
    currency     text,
    -- This bed's exact share of the night's price, before tax: the shares of a night add up to its price.
    amount       bigint NOT NULL,
    -- Not (property, bed, night): events of two bookings have no order, so a bed may change hands before it was let go.
    PRIMARY KEY (booking_id, night, bed_id)
);
COMMENT ON TABLE fact_bed_night IS 'One row a sold bed-night: those of the newest revision of each booking, none once it is cancelled.';

CREATE TABLE fact_booking_event (
    event_id    uuid PRIMARY KEY,
    booking_id  uuid NOT NULL,
    rev         bigint NOT NULL,
    -- Wire name with its version.
    kind        text NOT NULL,
    property_id text NOT NULL,
    occurred_at timestamptz NOT NULL
);
COMMENT ON TABLE fact_booking_event IS 'Append-only: every event of a booking, once.';

CREATE TABLE fact_notification (
    event_id    uuid PRIMARY KEY,
    booking_id  uuid NOT NULL,
    property_id text NOT NULL,
    -- Which mail, for example booking_confirmed.
    kind        text NOT NULL,
    -- The booking's revision that it told of.
    version     bigint NOT NULL,
    delivered   boolean NOT NULL,
    occurred_at timestamptz NOT NULL
);
COMMENT ON TABLE fact_notification IS 'Append-only: every mail that was accepted or refused for good, once. No address.';
