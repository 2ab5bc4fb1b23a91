//! Cells in pages that copies share until one of them changes a page.
//!
//! At a window's end three parts of a trainer need the state of a model: the version, the lineage that later windows may start
//! from, and the learner that goes on. The state is not copied for them. A page that several have is copied when one of them
//! changes it for the first time.

use std::sync::Arc;

/// Items in pages, each of a fixed number of cells.
#[derive(Clone, Debug)]
pub(super) struct SharedPages<T> {
    pages: Vec<Page<T>>,
    /// Cells of an item.
    width: usize,
    /// Base-2 logarithm of the items of a page.
    bits: u32,
    items: usize,
}

#[derive(Clone, Debug)]
enum Page<T> {
    Own(Box<[T]>),
    /// Boxed, so that sharing a page moves no cell.
    Shared(Arc<Box<[T]>>),
}

impl<T: Copy> Page<T> {
    #[inline]
    fn cells(&self) -> &[T] {
        match self {
            Page::Own(cells) => cells,
            Page::Shared(cells) => cells,
        }
    }

    #[inline]
    fn cells_mut(&mut self) -> &mut [T] {
        if let Page::Shared(_) = self {
            self.make_own();
        }
        match self {
            Page::Own(cells) => cells,
            Page::Shared(_) => unreachable!("the page was just made its own"),
        }
    }

    #[cold]
    fn make_own(&mut self) {
        if let Page::Shared(cells) = self {
            *self = Page::Own((**cells).clone());
        }
    }

    fn share(&mut self) -> Self {
        if let Page::Own(cells) = self {
            *self = Page::Shared(Arc::new(std::mem::take(cells)));
        }
        self.clone()
    }
}

impl<T: Copy> SharedPages<T> {
    /// No items.
    pub fn new(width: usize, bits: u32) -> Self {
        SharedPages { pages: Vec::new(), width, bits, items: 0 }
    }

    /// Items of one cell each, all of which are `empty`: one page that stands for all.
    pub fn filled(items: usize, empty: T, bits: u32) -> Self {
        let page = Page::Shared(Arc::new(vec![empty; 1 << bits].into()));
        SharedPages { pages: vec![page; items.div_ceil(1 << bits)], width: 1, bits, items }
    }

    pub fn len(&self) -> usize {
        self.items
    }

    /// Returns the cells of an item.
    #[inline]
    pub fn get(&self, item: usize) -> &[T] {
        let at = (item & ((1 << self.bits) - 1)) * self.width;
        &self.pages[item >> self.bits].cells()[at..at + self.width]
    }

    #[inline]
    pub fn get_mut(&mut self, item: usize) -> &mut [T] {
        let at = (item & ((1 << self.bits) - 1)) * self.width;
        &mut self.pages[item >> self.bits].cells_mut()[at..at + self.width]
    }

    /// Returns the cell of an item that has one.
    #[inline]
    pub fn cell(&self, item: usize) -> &T {
        &self.pages[item >> self.bits].cells()[item & ((1 << self.bits) - 1)]
    }

    #[inline]
    pub fn cell_mut(&mut self, item: usize) -> &mut T {
        &mut self.pages[item >> self.bits].cells_mut()[item & ((1 << self.bits) - 1)]
    }

    /// Adds an item whose cells are all `cell`.
    pub fn push(&mut self, cell: T) {
        if self.items == self.pages.len() << self.bits {
            self.pages.push(Page::Own(vec![cell; self.width << self.bits].into()));
        }
        self.items += 1;
        self.get_mut(self.items - 1).fill(cell);
    }

    /// Returns a copy that shares all pages.
    pub fn share(&mut self) -> Self {
        let SharedPages { width, bits, items, .. } = *self;
        SharedPages { pages: self.pages.iter_mut().map(Page::share).collect(), width, bits, items }
    }

    /// Returns the cells of all items, page by page.
    pub fn pages(&self) -> impl Iterator<Item = &[T]> {
        let last = self.items.saturating_sub(1) >> self.bits;
        self.pages.iter().enumerate().map(move |(at, page)| {
            let items = if at == last { self.items - (at << self.bits) } else { 1 << self.bits };
            &page.cells()[..items * self.width]
        })
    }

    /// Returns the cells of all items, item by item.
    pub fn iter(&self) -> impl Iterator<Item = &[T]> {
        (0..self.items).map(|item| self.get(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_its_cells_and_shares_the_pages_that_did_not_change() {
        let mut one = SharedPages::new(2, 1);
        (0..5).for_each(|item| one.push(item));
        let mut other = one.share();
        one.get_mut(3)[1] = 30;
        other.get_mut(4)[0] = 40;
        other.push(9);
        let all = |pages: &SharedPages<i32>| pages.iter().map(<[i32]>::to_vec).collect::<Vec<_>>();
        assert_eq!(all(&one), [[0, 0], [1, 1], [2, 2], [3, 30], [4, 4]]);
        assert_eq!(all(&other), [[0, 0], [1, 1], [2, 2], [3, 3], [40, 4], [9, 9]]);
        assert!(std::ptr::eq(one.get(0), other.get(0)) && !std::ptr::eq(one.get(2), other.get(2)));
    }

    #[test]
    fn empty_pages_are_one() {
        let mut pages = SharedPages::filled(1000, 0_u32, 4);
        assert!(std::ptr::eq(pages.cell(0), pages.cell(16)));
        *pages.cell_mut(17) = 1;
        assert_eq!((pages.len(), pages.iter().map(|cells| cells[0]).sum::<u32>()), (1000, 1));
    }
}
