//! Checkout Sessions: <https://docs.stripe.com/api/checkout/sessions/object>.

use super::Method;
use super::intent::CaptureMethod;
use crate::params::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The status of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionStatus {
    /// Open for payment.
    Open,
    /// Completed by the guest.
    Complete,
    /// No longer payable.
    Expired,
}

impl SessionStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }
}

/// A line item.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LineItem {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) unit_amount: i64,
    pub(crate) quantity: i64,
}

/// A Checkout Session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) expires_at: i64,
    pub(crate) status: SessionStatus,
    pub(crate) paid: bool,
    pub(crate) currency: String,
    pub(crate) amount_total: i64,
    pub(crate) lines: Vec<LineItem>,
    pub(crate) metadata: Metadata,
    pub(crate) intent_metadata: Metadata,
    pub(crate) intent_description: Option<String>,
    pub(crate) capture: CaptureMethod,
    pub(crate) success_url: String,
    pub(crate) cancel_url: Option<String>,
    pub(crate) customer_email: Option<String>,
    pub(crate) client_reference_id: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) payment_intent: Option<String>,
    /// The idempotency key that created it; the guest's charge is counted under it.
    pub(crate) key: Option<String>,
}

impl Session {
    /// Its JSON as Stripe shows it; `base` is the base URL of the pages.
    pub(crate) fn json(&self, base: &str) -> Value {
        let open = self.status == SessionStatus::Open;
        let url = open.then(|| format!("{}/pay/{}", base, self.id));
        let email = if self.status == SessionStatus::Complete {
            Some(self.customer_email.as_deref().unwrap_or("guest@example.com"))
        } else {
            self.customer_email.as_deref()
        };
        let details = email.map(|email| {
            json!({
                "address": null, "business_name": null, "email": email, "individual_name": null, "name": null,
                "phone": null, "tax_exempt": "none",
                "tax_ids": [],
            })
        });
        json!({
            "id": self.id, "object": "checkout.session", "adaptive_pricing": { "enabled": false },
            "after_expiration": null, "allow_promotion_codes": null,
            "amount_subtotal": self.amount_total, "amount_total": self.amount_total,
            "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
            "billing_address_collection": null, "cancel_url": self.cancel_url,
            "client_reference_id": self.client_reference_id, "client_secret": null,
            "collected_information": null, "consent": null, "consent_collection": null, "created": self.created,
            "currency": self.currency,
            "currency_conversion": null, "custom_fields": [],
            "custom_text": { "after_submit": null, "shipping_address": null, "submit": null,
            "terms_of_service_acceptance": null },
            "customer": null, "customer_creation": "if_required", "customer_details": details,
            "customer_email": self.customer_email, "discounts": [],
            "expires_at": self.expires_at, "invoice": null,
            "invoice_creation": { "enabled": false, "invoice_data": {
                "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null, "issuer": null,
                "metadata": {}, "rendering_options": null } },
            "livemode": false, "locale": self.locale, "metadata": self.metadata, "mode": "payment",
            "origin_context": null, "payment_intent": self.payment_intent,
            "payment_link": null, "payment_method_collection": "if_required",
            "payment_method_configuration_details": null,
            "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
            "payment_method_types": self.method_types(),
            "payment_status": if self.paid { "paid" } else { "unpaid" }, "permissions": null,
            "phone_number_collection": { "enabled": false },
            "recovered_from": null, "saved_payment_method_options": null, "setup_intent": null,
            "shipping_address_collection": null, "shipping_cost": null,
            "shipping_options": [], "status": self.status, "submit_type": null, "subscription": null,
            "success_url": self.success_url,
            "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 }, "ui_mode": "hosted",
            "url": url, "wallet_options": null,
        })
    }

    /// Accepted payment methods.
    pub(crate) fn method_types(&self) -> [&'static str; 2] {
        [Method::Card, Method::BankDebit].map(|method| method.stripe_type(&self.currency))
    }

    /// The line items as Stripe lists them.
    pub(crate) fn line_items(&self) -> Vec<Value> {
        let item = |line: &LineItem| {
            let amount = line.unit_amount.saturating_mul(line.quantity);
            json!({
                "id": line.id, "object": "item", "amount_discount": 0, "amount_subtotal": amount, "amount_tax": 0,
                "amount_total": amount, "currency": self.currency,
                "description": line.name, "metadata": {}, "quantity": line.quantity,
                "price": { "id": line.id.replacen("li_", "price_", 1), "object": "price", "active": false,
                "billing_scheme": "per_unit", "created": self.created,
                    "currency": self.currency, "custom_unit_amount": null, "livemode": false, "lookup_key": null,
                    "metadata": {}, "nickname": null,
                    "product": line.id.replacen("li_", "prod_", 1), "recurring": null, "tax_behavior": "unspecified",
                    "tiers_mode": null,
                    "transform_quantity": null, "type": "one_time", "unit_amount": line.unit_amount,
                    "unit_amount_decimal": line.unit_amount.to_string() },
            })
        };
        self.lines.iter().map(item).collect()
    }
}
