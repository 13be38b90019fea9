-- Money, as the ledgers of bookings have it.

CREATE TABLE fact_payment (
    -- The object that the entry stands for: Stripe's pi_…, re_… or txn_…, or the id of what staff recorded.
    entry_id    text NOT NULL,
    booking_id  uuid NOT NULL,
    property_id text NOT NULL,
    -- payment, refund, chargeback, chargeback_reversal.
    kind        text NOT NULL,
    -- The payment that the entry belongs to.
    payment     text NOT NULL,
    -- Minor units: what came, or, negative, what went; 0 once it was taken back.
    amount      bigint NOT NULL,
    -- What Stripe kept, as far as is known.
    fee         bigint NOT NULL,
    currency    text NOT NULL,
    -- Revision of the booking's ledger that this row tells of: the greatest one counts.
    ledger_rev  bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (entry_id)
);
COMMENT ON TABLE fact_payment IS 'One row an entry of a ledger: as it is at the newest revision of that ledger.';
