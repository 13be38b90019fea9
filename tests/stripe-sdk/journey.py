"""Journey of Stripe's own Python SDK through the Stripe simulator.

`tests/stripe-sdk/run` starts it with the simulator's address. Every object that an answer or a webhook contains is
compared with the SDK's type annotations: a required member that is missing, a value of another type, or an unknown
value of an enumeration fails.
"""

import http.server
import inspect
import json
import queue
import sys
import threading
import time
import typing
import unittest
import urllib.error
import urllib.parse
import urllib.request

import stripe
from stripe._object_classes import get_object_class
from stripe._stripe_object import UntypedStripeObject

BASE = sys.argv.pop(1)
SECRET = "whsec_python_sdk"
LIMIT_S = 20
# Values that API versions after the simulator's call otherwise.
RENAMED = {("ui_mode", "hosted"): "hosted_page"}
BOOKING = "0190b6a0-0000-7000-8000-000000000001"


class Inbox(http.server.BaseHTTPRequestHandler):
    """Webhook endpoint that keeps the raw body and the signature of each delivery."""

    received: "queue.Queue[tuple[bytes, str]]" = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Inbox.received.put((body, self.headers["Stripe-Signature"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keeps the browser's next address instead of opening it."""

    def redirect_request(self, *_):
        return None


WEB = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirects)


def control(path, body):
    """A request to the simulator's control API."""
    request = urllib.request.Request(BASE + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with WEB.open(request, timeout=LIMIT_S) as answer:
        return answer.read()


def press(url, action):
    """Presses a button of the payment page and returns where it leads."""
    try:
        WEB.open(url, urllib.parse.urlencode({"action": action}).encode(), timeout=LIMIT_S)
    except urllib.error.HTTPError as error:
        assert error.code == 303, error
        return error.headers["Location"]
    raise AssertionError("the page does not redirect")


def client(**options):
    """A client of the simulator that never repeats a request by itself."""
    options = {"api_key": "sk_test_python", "base_addresses": {"api": BASE}, "max_network_retries": 0, **options}
    return stripe.StripeClient(**options)


def faults_of(value, path):
    """Where a StripeObject differs from the annotations of its class, those of contained objects included."""
    for name, kind in inspect.get_annotations(type(value)).items():
        if typing.get_origin(kind) is typing.ClassVar or name.startswith("_"):
            continue
        if name not in value:
            if type(None) not in typing.get_args(kind):
                yield f"{path}.{name} is missing"
            continue
        given = value[name]
        if not fits(RENAMED.get((name, given), given) if isinstance(given, str) else given, kind):
            yield f"{path}.{name} is {given!r:.80}, not {kind!s:.200}"
    for name, member in value._data.items():
        for index, one in enumerate(member if isinstance(member, list) else [member]):
            if isinstance(one, stripe.StripeObject):
                yield from faults_of(one, f"{path}.{name}[{index}]" if isinstance(member, list) else f"{path}.{name}")


def fits(value, kind):
    """Whether a value has the annotated type; objects by their class alone."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union:
        # An enumeration that Stripe may extend is annotated as `str` as well.
        literals = [one for one in arguments if typing.get_origin(one) is typing.Literal]
        return any(fits(value, one) for one in (literals if literals and isinstance(value, str) else arguments))
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(fits(one, arguments[0]) for one in value)
    if kind is typing.Any or isinstance(kind, typing.TypeVar):
        return True
    if isinstance(kind, (str, typing.ForwardRef)):
        name = kind if isinstance(kind, str) else kind.__forward_arg__
        return isinstance(value, stripe.StripeObject) and name.endswith((type(value).__name__, "Resource", "Source"))
    if origin is not None and issubclass(origin, UntypedStripeObject):
        return isinstance(value, stripe.StripeObject) and all(fits(one, arguments[0]) for one in value._data.values())
    if origin is not None:
        return isinstance(value, origin)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


class Journey(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{cls.server.server_port}/hook"
        control("/sim/endpoints", [{"url": url, "secrets": [SECRET]}])
        cls.stripe = client().v1

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def tearDown(self):
        control("/sim/faults", {})

    def conforms(self, value, name):
        """Asserts the class and every annotated member of an object."""
        self.assertIs(type(value), get_object_class("V1", name))
        self.assertEqual(value.object, name)
        self.assertEqual(list(faults_of(value, name)), [])
        if value.last_response:
            self.assertRegex(value.last_response.request_id, "^req_")
        return value

    def open_checkout(self, booking=BOOKING, **more):
        """A Checkout Session as the product's worker creates it."""
        metadata = {"booking_id": booking, "attempt": "1"}
        return self.stripe.checkout.sessions.create(
            {
                "mode": "payment",
                "line_items": [
                    {
                        "price_data": {
                            "currency": "cad",
                            "unit_amount": 12_000,
                            "product_data": {"name": "Two nights"},
                        },
                        "quantity": 1,
                    }
                ],
                "locale": "fr-CA",
                "success_url": "http://127.0.0.1:1/paid?session={CHECKOUT_SESSION_ID}",
                "cancel_url": "http://127.0.0.1:1/cancelled",
                "client_reference_id": booking,
                "customer_email": "ada@example.com",
                "expires_at": int(time.time()) + 3_600,
                "metadata": metadata,
                "payment_intent_data": {"metadata": metadata},
                **more,
            },
            {"idempotency_key": f"open:{booking}:{time.monotonic_ns()}"},
        )

    def pay(self, booking=BOOKING):
        """A session that was paid on its page."""
        session = self.open_checkout(booking)
        self.assertIn(session.id, press(session.url, "pay"))
        return self.stripe.checkout.sessions.retrieve(session.id)

    def refused(self, kind, call):
        """The error of a call, which is of exactly this class and names its request."""
        with self.assertRaises(stripe.StripeError) as caught:
            call()
        error = caught.exception
        self.assertIs(type(error), kind, error)
        self.assertRegex(error.request_id, "^req_")
        request = error.headers.get("original-request", error.request_id)
        self.assertIn(request, error.error.request_log_url)
        self.assertTrue(error.user_message)
        return error

    def test_session_is_opened_listed_and_expired(self):
        session = self.conforms(self.open_checkout(), "checkout.session")
        self.assertEqual((session.status, session.payment_status, session.livemode), ("open", "unpaid", False))
        self.assertEqual((session.amount_total, session.currency, session.locale), (12_000, "cad", "fr-CA"))
        self.assertEqual(session.metadata["booking_id"], BOOKING)
        self.assertEqual(session.last_response.headers["stripe-version"], stripe.api_version)
        again = self.conforms(self.stripe.checkout.sessions.retrieve(session.id), "checkout.session")
        self.assertEqual(again.to_dict(), session.to_dict())
        lines = self.stripe.checkout.sessions.line_items.list(session.id)
        self.assertEqual([self.conforms(line, "item").amount_total for line in lines.data], [12_000])
        listed = self.conforms(self.stripe.checkout.sessions.list({"limit": 1, "status": "open"}), "list")
        self.assertEqual((listed.data[0].id, listed.url), (session.id, "/v1/checkout/sessions"))
        expired = self.conforms(self.stripe.checkout.sessions.expire(session.id), "checkout.session")
        self.assertEqual((expired.status, expired.url), ("expired", None))
        self.refused(stripe.InvalidRequestError, lambda: self.stripe.checkout.sessions.expire(session.id))

    def test_paid_session_leads_to_payment_charge_and_fee(self):
        session = self.conforms(self.pay(), "checkout.session")
        self.assertEqual((session.status, session.payment_status), ("complete", "paid"))
        intent = self.stripe.payment_intents.retrieve(
            session.payment_intent, {"expand": ["latest_charge", "latest_charge.balance_transaction"]}
        )
        self.conforms(intent, "payment_intent")
        self.assertEqual((intent.status, intent.amount_received), ("succeeded", 12_000))
        self.assertEqual(intent.metadata["booking_id"], BOOKING)
        charge = self.conforms(intent.latest_charge, "charge")
        self.assertEqual((charge.paid, charge.captured, charge.payment_intent), (True, True, intent.id))
        fee = self.conforms(charge.balance_transaction, "balance_transaction")
        self.assertEqual((fee.amount, fee.net, fee.source), (12_000, 12_000 - fee.fee, charge.id))
        self.assertEqual(sum(part.amount for part in fee.fee_details), fee.fee)
        alone = self.conforms(self.stripe.charges.retrieve(charge.id), "charge")
        self.assertEqual(alone.balance_transaction, fee.id)
        listed = self.stripe.payment_intents.list({"limit": 1})
        self.assertEqual(self.conforms(listed.data[0], "payment_intent").id, intent.id)

    def test_refunds_are_made_once_per_key(self):
        intent = self.pay().payment_intent
        order = {"payment_intent": intent, "amount": 4_000, "metadata": {"refund_key": "one"}}
        key = {"idempotency_key": f"refund:{intent}:1"}
        first = self.conforms(self.stripe.refunds.create(order, key), "refund")
        self.assertEqual((first.status, first.amount, first.payment_intent), ("succeeded", 4_000, intent))
        again = self.stripe.refunds.create(order, key)
        self.assertEqual((again.id, again.last_response.headers["idempotent-replayed"]), (first.id, "true"))
        error = self.refused(
            stripe.IdempotencyError, lambda: self.stripe.refunds.create({**order, "amount": 4_001}, key)
        )
        self.assertEqual(error.http_status, 400)
        rest = self.conforms(self.stripe.refunds.create({"payment_intent": intent}), "refund")
        self.assertEqual(rest.amount, 8_000)
        listed = list(self.stripe.refunds.list({"payment_intent": intent, "limit": 1}).auto_paging_iter())
        self.assertEqual([refund.id for refund in listed], [rest.id, first.id])
        charge = self.stripe.charges.retrieve(first.charge)
        self.assertEqual((charge.refunded, charge.amount_refunded), (True, 12_000))
        error = self.refused(stripe.InvalidRequestError, lambda: self.stripe.refunds.create({"payment_intent": intent}))
        self.assertEqual((error.http_status, error.code), (400, "charge_already_refunded"))

    def test_dispute_is_read(self):
        session = self.pay()
        control("/sim/disputes", {"payment": session.id})
        disputes = self.stripe.disputes.list({"payment_intent": session.payment_intent})
        self.assertEqual([self.conforms(dispute, "dispute").amount for dispute in disputes.data], [12_000])

    def test_lists_are_paged_to_their_end(self):
        charges = [self.stripe.payment_intents.retrieve(self.pay().payment_intent).latest_charge for _ in range(3)]
        pages = self.conforms(self.stripe.balance_transactions.list({"limit": 2, "type": "charge"}), "list")
        self.assertTrue(pages.has_more)
        lines = [self.conforms(line, "balance_transaction") for line in pages.auto_paging_iter()]
        self.assertEqual([line.source for line in lines[:3]], charges[::-1])
        self.assertEqual(len({line.id for line in lines}), len(lines))
        whole = self.stripe.balance_transactions.list({"limit": 100, "type": "charge"})
        self.assertEqual(([line.id for line in whole.data], whole.has_more), ([line.id for line in lines], False))
        events = list(self.stripe.events.list({"limit": 3, "types": ["charge.succeeded"]}).auto_paging_iter())
        self.assertEqual([self.conforms(event, "event").data.object.id for event in events[:3]], charges[::-1])
        for event in events:
            self.conforms(event.data.object, "charge")

    def test_errors_are_of_the_sdk_classes(self):
        sessions = self.stripe.checkout.sessions
        error = self.refused(stripe.InvalidRequestError, lambda: self.open_checkout(success_url="nowhere"))
        self.assertEqual((error.http_status, error.param, error.code), (400, "success_url", "url_invalid"))
        error = self.refused(stripe.InvalidRequestError, lambda: sessions.create({"mode": "payment"}))
        self.assertEqual((error.param, error.code), ("line_items", "parameter_missing"))
        error = self.refused(stripe.InvalidRequestError, lambda: sessions.create({"mode": "payment", "colour": "red"}))
        self.assertEqual((error.param, error.code), ("colour", "parameter_unknown"))
        error = self.refused(stripe.InvalidRequestError, lambda: self.stripe.refunds.retrieve("re_none"))
        self.assertEqual((error.http_status, error.param, error.code), (404, "id", "resource_missing"))
        error = self.refused(stripe.AuthenticationError, lambda: client(api_key="sk_wrong").v1.events.list())
        self.assertEqual(error.http_status, 401)
        old = client(stripe_version="yesterday").v1
        error = self.refused(stripe.InvalidRequestError, old.events.list)
        self.assertIn("yesterday", error.user_message)
        pay = {"amount": 12_000, "currency": "cad", "confirm": True, "payment_method": "pm_card_chargeDeclined"}
        error = self.refused(stripe.CardError, lambda: self.stripe.payment_intents.create(pay))
        self.assertEqual((error.http_status, error.code), (402, "card_declined"))
        declined = error.error.payment_intent
        self.assertEqual(self.conforms(declined, "payment_intent").status, "requires_payment_method")
        self.assertEqual((error.error.charge, error.error.decline_code), (declined.latest_charge, "generic_decline"))

    def test_injected_faults_are_of_the_sdk_classes(self):
        faults = {
            "forbidden": (stripe.PermissionError, 403),
            "rate_limited": (stripe.RateLimitError, 429),
            "server_error": (stripe.APIError, 500),
        }
        for kind, (error_class, status) in faults.items():
            with self.subTest(kind):
                control("/sim/faults", {"requests": [{"path": "/v1/refunds", "kind": kind, "next": 1}]})
                error = self.refused(error_class, self.stripe.refunds.list)
                self.assertEqual(error.http_status, status)
                self.assertEqual(self.stripe.refunds.list().object, "list")
        control("/sim/faults", {"requests": [{"path": "/v1/refunds", "kind": "timeout_before_effect", "delay_ms": 0}]})
        with self.assertRaises(stripe.APIConnectionError):
            self.stripe.refunds.list()

    def test_sdk_repeats_a_failed_request_under_its_own_key(self):
        intent = self.pay().payment_intent
        faults = ["rate_limited", "server_error_after_effect"]
        control("/sim/faults", {"requests": [{"path": "/v1/refunds", "kind": kind, "next": 1} for kind in faults]})
        retrying = client(max_network_retries=2).v1
        error = self.refused(stripe.APIError, lambda: retrying.refunds.create({"payment_intent": intent}))
        self.assertEqual(error.headers["idempotent-replayed"], "true")
        self.assertEqual(len(self.stripe.refunds.list({"payment_intent": intent}).data), 1)

    def test_webhook_is_verified_as_it_was_sent(self):
        booking = "0190b6a0-0000-7000-8000-00000000beef"
        session = self.pay(booking)
        end = time.monotonic() + LIMIT_S
        while True:
            body, signature = Inbox.received.get(timeout=max(0.01, end - time.monotonic()))
            event = self.conforms(stripe.Webhook.construct_event(body, signature, SECRET), "event")
            if event.type == "checkout.session.completed" and event.data.object.id == session.id:
                break
        self.conforms(event.data.object, "checkout.session")
        self.assertEqual(event.data.object.to_dict(), session.to_dict())
        self.assertEqual(self.stripe.events.retrieve(event.id).data.to_dict(), event.data.to_dict())
        changed = body.replace(b"12000", b"12001")
        self.assertNotEqual(changed, body)
        at, signed = signature.split(",")
        old = f"t={int(at[2:]) - 301},{signed}"
        own = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, int(time.time()) - 301)
        refused = [
            (changed, signature, SECRET, "matching"),
            (body, signature, "whsec_other", "matching"),
            (body, old, SECRET, "matching"),
            (body, own, SECRET, "tolerance"),
            (body, "", SECRET, "No Stripe-Signature"),
        ]
        for given, header, secret, reason in refused:
            with self.subTest(reason), self.assertRaisesRegex(stripe.SignatureVerificationError, reason):
                stripe.Webhook.construct_event(given, header, secret)


if __name__ == "__main__":
    unittest.main()
