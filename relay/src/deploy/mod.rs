//! Bundles an app's functions folder and deploys it.
