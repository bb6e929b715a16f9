// The tracker example, and what its readers see and do.
import { Example, ReaderPage } from "./example.mjs";

export class Tracker extends Example {
  static async start() {
    return await super.start("tracker");
  }

  /** A page of its own (own storage, as of another reader), under a name. */
  async open(name, options) {
    return new TrackerPage(await this.openPage({ "pg-live-tracker.name": name }, options));
  }
}

/** What a reader sees and does, found by role and name. */
export class TrackerPage extends ReaderPage {
  get issueList() {
    return this.page.getByRole("list", { name: "Issues" });
  }

  /** The names and titles of the issues in the list ("WEB-3: Title"), newest first, as far as they are loaded. */
  async issues() {
    return await this.issueList.getByRole("listitem").evaluateAll((items) => items.map((item) => item.ariaLabel));
  }

  /** The row of an issue; `pending`: shown before the server has it. */
  issue(title, { pending = false } = {}) {
    const rows = this.issueList.getByRole("listitem").filter({ hasText: title });
    return rows.and(this.page.locator(pending ? ".pending" : ":not(.pending)"));
  }

  async addIssue(title, priority) {
    if (priority !== undefined) {
      await this.page.getByRole("combobox", { name: "New issue's priority" }).selectOption({ label: priority });
    }
    const field = this.page.getByRole("textbox", { name: "New issue's title" });
    await field.fill(title);
    await field.press("Enter");
  }

  async filter(name) {
    await this.page.getByRole("group", { name: "Show issues" }).getByRole("button", { name }).click();
  }

  async loadMore(what) {
    await this.page.getByRole("button", { name: `Load more ${what}` }).click();
  }

  async openIssue(title) {
    await this.issue(title).click();
    await this.page.getByRole("combobox", { name: "Status" }).waitFor();
  }

  async choose(label, option) {
    await this.page.getByRole("combobox", { name: label, exact: true }).selectOption({ label: option });
  }

  /** What is chosen in a field of the issue that is open. */
  async chosen(label) {
    const field = this.page.getByRole("combobox", { name: label, exact: true });
    return await field.evaluate((element) => element.selectedOptions[0].label);
  }

  async comment(body) {
    const field = this.page.getByRole("textbox", { name: "New comment" });
    await field.fill(body);
    await field.press("Enter");
  }

  /** The bodies of the comments, newest first, as far as they are loaded. */
  async comments() {
    return await this.page.getByRole("list", { name: "Comments" }).locator(".comment-body").allTextContents();
  }
}
