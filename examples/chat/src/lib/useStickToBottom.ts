import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

/** How far from the end, in pixels, still counts as reading the newest message. */
const NEAR_PX = 80;

interface StickToBottom {
  /** For the scrolling element. */
  ref: RefObject<HTMLDivElement | null>;
  /** False once the reader has scrolled up. */
  atBottom: boolean;
  scrollToBottom: () => void;
}

/**
 * Keeps an element scrolled to its end while the reader is there, and leaves
 * it alone once the reader has scrolled up. `newest` changes with each new
 * last item; `force` says that this one is to be shown in any case.
 */
export function useStickToBottom(newest: string | undefined, force: boolean): StickToBottom {
  const ref = useRef<HTMLDivElement | null>(null);
  const sticky = useRef(true);
  const [atBottom, setAtBottom] = useState(true);

  const scrollToBottom = useCallback(() => {
    const element = ref.current;
    if (element !== null) {
      element.scrollTop = element.scrollHeight;
    }
  }, []);

  useEffect(() => {
    const element = ref.current;
    if (element === null) {
      return;
    }
    const onScroll = () => {
      sticky.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
      setAtBottom(sticky.current);
    };
    const onResize = new ResizeObserver(() => {
      if (sticky.current) {
        scrollToBottom();
      }
    });
    element.addEventListener("scroll", onScroll, { passive: true });
    onResize.observe(element);
    return () => {
      element.removeEventListener("scroll", onScroll);
      onResize.disconnect();
    };
  }, [scrollToBottom]);

  useLayoutEffect(() => {
    if (newest !== undefined && (sticky.current || force)) {
      sticky.current = true;
      setAtBottom(true);
      scrollToBottom();
    }
  }, [newest, force, scrollToBottom]);

  return { ref, atBottom, scrollToBottom };
}
