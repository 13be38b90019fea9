//! An operator at a browser with a keyboard and without a mouse.

use super::{SHORT_TIMEOUT, TestConsole};
use anyhow::{Context, Result, ensure};
use pvt_testkit::Chromium;
use serde_json::{Value, json};

/// Works with key events alone; what it looks at is read by scripts.
pub(crate) struct Operator {
    pub(crate) browser: Chromium,
    base: String,
}

impl Operator {
    /// Opens a page of the console, and signs in on the form that it leads to.
    pub(crate) async fn sign_in(console: &TestConsole, path: &str, email: &str, password: &str) -> Result<Self> {
        let mut browser = Chromium::start().await?;
        browser.screen(1_280, 800, "light").await?;
        browser.open(&format!("{}{path}", console.base)).await?;
        let mut operator = Self { browser, base: console.base.clone() };
        operator.browser.type_text(email).await?;
        operator.browser.press("Tab").await?;
        operator.browser.type_text(password).await?;
        operator.browser.enter().await?;
        operator.sees("location.pathname", path).await?;
        Ok(operator)
    }

    /// The value of an expression of the page becomes this text.
    pub(crate) async fn sees(&mut self, expression: &str, text: &str) -> Result<()> {
        self.browser.until(expression, &text.into(), SHORT_TIMEOUT).await
    }

    /// The page comes to say this.
    pub(crate) async fn reads(&mut self, text: &str) -> Result<()> {
        let expression = format!("document.getElementById('content').textContent.includes({})", json!(text));
        if let Err(missing) = self.browser.until(&expression, &true.into(), SHORT_TIMEOUT).await {
            let page = self.browser.value("location.href + document.getElementById('content').textContent").await?;
            return Err(missing.context(page.to_string()));
        }
        Ok(())
    }

    /// Moves the focus to the element `it` of which this is true, from the top of a page past its head.
    pub(crate) async fn reach(&mut self, is: &str) -> Result<()> {
        if self.browser.value("document.activeElement === document.body").await? == true {
            self.browser.press("Tab").await?;
            ensure!(self.focused("it.className").await? == "skip", "a page begins with a way past its head");
            self.browser.press("Enter").await?;
        }
        self.browser.tab_to(is).await?;
        ensure!(self.browser.is_focus_seen().await?, "the focus is not seen: {is}");
        Ok(())
    }

    /// The value of an expression of the focused element `it`.
    pub(crate) async fn focused(&mut self, expression: &str) -> Result<Value> {
        self.browser.value(&format!("(it => {expression})(document.activeElement)")).await
    }

    /// Follows a link, or sends a form by its button.
    pub(crate) async fn follow(&mut self, is: &str) -> Result<()> {
        self.reach(is).await?;
        self.browser.enter().await
    }

    /// Goes to a page by its link in the head.
    pub(crate) async fn go(&mut self, page: &str) -> Result<()> {
        self.browser.tab_to(&format!("it.closest('nav') !== null && it.textContent === '{page}'")).await?;
        self.browser.enter().await
    }

    /// Searches for what is typed into the box in the head.
    pub(crate) async fn search(&mut self, text: &str) -> Result<()> {
        self.browser.press("/").await?;
        self.fill("search", text).await?;
        self.browser.enter().await
    }

    /// Types into a field, instead of what it holds.
    pub(crate) async fn fill(&mut self, id: &str, text: &str) -> Result<()> {
        self.reach(&format!("it.id === '{id}'")).await?;
        self.browser.select_all().await?;
        self.browser.type_text(text).await?;
        ensure!(self.focused("it.value").await? == text, "{id} holds what was typed");
        Ok(())
    }

    /// Chooses an option of a list with the arrow keys.
    pub(crate) async fn choose(&mut self, id: &str, value: &str) -> Result<()> {
        self.reach(&format!("it.id === '{id}'")).await?;
        let options = self.focused("it.options.length").await?.as_u64().context("a list")?;
        for _ in 0..options {
            if self.focused("it.value").await? == value {
                return Ok(());
            }
            self.browser.press("ArrowDown").await?;
        }
        ensure!(self.focused("it.value").await? == value, "{value} is not in {id}");
        Ok(())
    }

    /// Types a reason and sends its form.
    pub(crate) async fn give_reason(&mut self, id: &str, reason: &str) -> Result<()> {
        self.fill(id, reason).await?;
        self.browser.enter().await
    }

    /// The outcome is at the head of the page, says this, and has the focus.
    pub(crate) async fn is_answered(&mut self, kind: &str, title: &str) -> Result<()> {
        self.sees("document.querySelector('#outcome h2')?.textContent ?? ''", title).await?;
        ensure!(self.focused("it.id").await? == "outcome", "the outcome has the focus");
        let class = self.focused("it.className").await?;
        ensure!(class.as_str().is_some_and(|class| class.ends_with(kind)), "{class} instead of {kind}");
        ensure!(self.browser.is_focus_seen().await?, "the outcome is seen");
        Ok(())
    }

    /// Looks at the page on small and large screens, and goes on at a large one.
    pub(crate) async fn look(&mut self, name: &str) -> Result<()> {
        self.browser.look(name).await?;
        self.browser.screen(1_280, 800, "light").await
    }

    /// Signs out. No page had an error or reached for another host; so many forms were refused.
    pub(crate) async fn sign_out(mut self, refused: usize) -> Result<()> {
        self.browser.tab_to("it.textContent === 'Sign out'").await?;
        self.browser.enter().await?;
        self.sees("location.pathname", "/login").await?;
        let is_refusal = |complaint: &String| complaint.contains("the server responded with a status of 4");
        let (refusals, others): (Vec<_>, Vec<_>) =
            self.browser.complaints(&self.base).into_iter().partition(is_refusal);
        ensure!(others.is_empty(), "{others:?}");
        ensure!(refusals.len() == refused, "{refusals:?}");
        Ok(())
    }
}
